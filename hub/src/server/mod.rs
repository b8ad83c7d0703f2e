//! The listener: TCP, TLS, HTTP/1.1 and HTTP/2, with bounds on each, and an orderly end.
//!
//! Order of the end: no new connections; requests that are under way have their time; agents are told "restart".

mod connection;
mod stall;
mod tls;

use crate::{
    agents::Agents, api, dispatch::Dispatch, gateway::Hosts, hub::Hub, metrics::Metrics, settings::HubSettings,
};
use lapdev_api::link;
use lapdev_store::{Store, StoreError};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tls::Certificates;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp::{Filter, Reply, filters::BoxedFilter};

/// Why the hub does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// `admin.token`.
    #[error(transparent)]
    AdminToken(#[from] api::AdminTokenError),
    /// The signing key of links.
    #[error("cannot read the signing key of preview links")]
    Store(#[from] StoreError),
}

/// A hub that listens, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    hub: Arc<Hub>,
}

impl Server {
    /// Reads certificate, key and admin token, and listens.
    ///
    /// # Errors
    /// When one of that fails.
    pub async fn bind(settings: HubSettings, store: Store) -> Result<Self, ServeError> {
        let certificates = settings.tls.clone().map(Certificates::read).transpose()?.map(Arc::new);
        let admin_token = api::admin_token(&settings.data_dir)?;
        let link_secret = store.secret(link::SECRET).await?;
        let address = settings.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
        let hub = Hub {
            hosts: Hosts::new(store.clone(), &settings.external_url),
            settings,
            store,
            agents: Agents::default(),
            metrics: Metrics::new(),
            admin_token,
            link_secret,
            ending: CancellationToken::new(),
            sessions: TaskTracker::new(),
        };
        Ok(Self { listener, certificates, hub: Arc::new(hub) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown`, then ends in order. `extra` is tried where the hub has no route of its own (webhooks).
    pub async fn run<R: Reply + 'static>(self, extra: BoxedFilter<(R,)>, shutdown: CancellationToken) {
        let Self { listener, certificates, hub } = self;
        let routes = api::routes(hub.clone()).or(extra).recover(api::recover);
        let dispatch = Dispatch::new(hub.clone(), warp::service(routes));
        let connections = TaskTracker::new();
        let stopping = shutdown.child_token();
        let drained = CancellationToken::new();
        let context = connection::Context { dispatch, stopping: stopping.clone(), drained: drained.clone() };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = accept(&listener, certificates.as_ref(), &connections, &context) => {}
            () = reload(certificates.as_ref()) => {}
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(hub.settings.limits.drain, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "requests that were still under way are cut off");
        }
        drained.cancel();
        hub.ending.cancel();
        connections.wait().await;
        hub.sessions.close();
        hub.sessions.wait().await;
    }
}

async fn accept<S: connection::Routes>(
    listener: &TcpListener,
    certificates: Option<&Arc<Certificates>>,
    connections: &TaskTracker,
    context: &connection::Context<S>,
) {
    let slots = Arc::new(Semaphore::new(context.dispatch.hub().settings.limits.connections));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => start(stream, peer, slot, certificates, connections, context),
            Err(error) => {
                // Out of file descriptors, mostly: some time must pass, or this spins.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn start<S: connection::Routes>(
    stream: TcpStream,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
    certificates: Option<&Arc<Certificates>>,
    connections: &TaskTracker,
    context: &connection::Context<S>,
) {
    let (context, certificates) = (context.clone(), certificates.cloned());
    connections.spawn(async move {
        let _slot = slot;
        let _counted = context.dispatch.hub().metrics.connection();
        connection::serve(stream, peer, certificates.as_deref(), context).await;
    });
}

async fn reload(certificates: Option<&Arc<Certificates>>) {
    match certificates {
        Some(certificates) => certificates.keep_fresh().await,
        None => std::future::pending().await,
    }
}
