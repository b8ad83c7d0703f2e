//! Puts the router together, and ends it when it is told to: the control side on the caller's runtime, the data plane on
//! threads of its own.

use crate::{
    admin,
    count::Metrics,
    drain::Times,
    listen,
    probe::Probes,
    proxy::{Parts, Proxy},
    settings::Settings,
    table::Snapshot,
    watch,
};
use lapdev_api::route::ADMIN_PORT;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{sync::watch as channel, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Why the router cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The agent and the kubelet could not be answered.
    #[error("cannot listen on {address} for the agent and the kubelet; LAPDEV_ADMIN_ADDRESS says where")]
    Admin {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no threads.
    #[error("cannot start the workers")]
    Workers(#[source] io::Error),
    /// What works for as long as the router does has ended before it.
    #[error("{0} ended, without which a router does not do its work")]
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
    let everywhere = settings.listen.unwrap_or_else(listen::everywhere);
    let address = settings.admin.unwrap_or(SocketAddr::new(everywhere, ADMIN_PORT));
    let listener = listen::on(address).map_err(|source| RunError::Admin { address, source })?;
    let parts = Parts {
        address: everywhere,
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
    let ended = first_to_end(stop, &mut watches, &mut server, &proxy).await;
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

/// What ended before it was time to; none when it is.
async fn first_to_end(
    stop: &CancellationToken,
    watches: &mut JoinHandle<()>,
    server: &mut JoinHandle<()>,
    proxy: &Proxy,
) -> Option<&'static str> {
    tokio::select! {
        () = stop.cancelled() => None,
        _ = watches => Some("what watches the API server"),
        _ = server => Some("what answers the agent and the kubelet"),
        () = proxy.ended() => Some("every worker"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Handle;
    use std::{future::pending, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn a_router_ends_with_its_last_worker_and_not_before() {
        let (stop, mut watches, mut server) =
            (CancellationToken::new(), tokio::spawn(pending::<()>()), tokio::spawn(pending::<()>()));
        let ((one, its), (other, others)) = (Handle::of_nobody(), Handle::of_nobody());
        let proxy = Proxy::of(vec![one, other]);
        drop(its);
        let first =
            tokio::time::timeout(Duration::from_secs(3600), first_to_end(&stop, &mut watches, &mut server, &proxy));
        assert!(first.await.is_err(), "the other one serves");
        drop(others);
        let first =
            tokio::time::timeout(Duration::from_secs(3600), first_to_end(&stop, &mut watches, &mut server, &proxy));
        assert_eq!(first.await.expect("nobody serves"), Some("every worker"));
    }
}
