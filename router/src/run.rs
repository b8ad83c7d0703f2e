//! Puts the router together, and ends it when it is told to: the control side on the caller's runtime, the data plane on
//! threads of its own.

use crate::{
    admin,
    count::Metrics,
    drain::Times,
    probe::Probes,
    proxy::{Parts, Proxy},
    settings::Settings,
    table::Snapshot,
    watch,
};
use std::{io, sync::Arc};
use tokio::{net::TcpListener, sync::watch as channel};
use tokio_util::sync::CancellationToken;

/// Why the router cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The agent and the kubelet could not be answered.
    #[error("cannot listen on {address} for the agent and the kubelet; LAPDEV_ADMIN_ADDRESS says where")]
    Admin {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no threads.
    #[error("cannot start the workers")]
    Workers(#[source] io::Error),
    /// A task that works for as long as the router does has ended before it.
    #[error("{0} ended; a router without it would go on with what it knew last")]
    Ended(&'static str),
    /// There is no randomness.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// Works until `stop`, then drains.
///
/// # Errors
/// If it cannot begin, or what it cannot work without has ended; then too it has drained.
pub async fn run(client: kube::Client, settings: &Settings, stop: &CancellationToken) -> Result<(), RunError> {
    raise_open_files();
    let (publish, snapshots) = channel::channel(Arc::new(Snapshot::default()));
    let (metrics, probes) = (Arc::new(Metrics::default()), Arc::new(Probes::default()));
    let address = settings.admin;
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Admin { address, source })?;
    let parts = Parts {
        address: settings.listen,
        workers: settings.workers,
        snapshots: snapshots.clone(),
        probes: probes.clone(),
        metrics: metrics.clone(),
    };
    let proxy = Proxy::start(parts).map_err(RunError::Workers)?;
    let (tell, draining) = channel::channel(false);
    let process = format!("{:016x}", getrandom::u64()?);
    let (listening, counters) = (proxy.listening(), metrics.clone());
    let state = admin::State { snapshots, listening, draining, probes, metrics: counters, process };
    let over = CancellationToken::new();
    let (namespace, ended, seen) = (settings.namespace.clone(), over.clone(), metrics.clone());
    let mut watches = tokio::spawn(async move { watch::run(client, &namespace, publish, seen, ended).await });
    let mut server = tokio::spawn(admin::serve(listener, state, over.clone()));
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        _ = &mut watches => Some("what watches the API server"),
        _ = &mut server => Some("what answers the agent and the kubelet"),
    };
    tracing::info!(seconds = settings.drain.as_secs(), "drains");
    metrics.draining.set(1);
    tell.send_replace(true);
    proxy.drain(Times::within(settings.drain)).await;
    over.cancel();
    if let Some(task) = ended {
        return Err(RunError::Ended(task));
    }
    for task in [watches, server] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the control side broke");
        }
    }
    Ok(())
}

/// Each connection takes a file descriptor, and its endpoint another; container runtimes allow more than they give at
/// first.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
}
