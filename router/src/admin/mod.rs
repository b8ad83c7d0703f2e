//! The router's own server on [`lapdev_api::route::ADMIN_PORT`], for the kubelet, the agent and whoever scrapes metrics.
//! Changes nothing of the routing.
//!
//! Any pod that the network lets reach it may ask, so it is built for strangers. Each connection carries one request, at
//! most a small one, for a few seconds; an address has few connections, and when all are taken the oldest gives way, so
//! that one stranger cannot keep the kubelet out. What strangers learn is whether the router lives and is ready, and what
//! `/metrics` says of it. The rest (living keys, services, the requests of a probe, and to arm one) is for the agent alone:
//! the routing table's ConfigMap, which only the agent may write, has the digest of its token. Headers and bodies of a
//! probe's requests are never kept.

mod answer;
mod connections;
#[cfg(test)]
mod tests;

use crate::{count::Metrics, probe::Probes, table::Snapshot};
use bytes::Bytes;
use connections::Connections;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// A connection lasts at most so long.
const CONNECTION: Duration = Duration::from_secs(10);
/// A request's head takes at most so long.
const HEAD: Duration = Duration::from_secs(3);
/// The longest head; hyper takes no smaller bound.
const HEAD_BYTES: usize = 8 * 1024;

/// What the server tells of.
#[derive(Debug)]
pub struct State {
    /// What requests are routed by.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The router ports that accept connections.
    pub listening: watch::Receiver<BTreeSet<u16>>,
    /// Whether the router ends.
    pub draining: watch::Receiver<bool>,
    /// The place for a probe.
    pub probes: Arc<Probes>,
    /// The router's own counters.
    pub metrics: Arc<Metrics>,
    /// This process' random name, see [`lapdev_api::route::Counters`].
    pub process: String,
}

/// The counters may be of so long ago: however many strangers ask and read slowly, memory holds few copies.
const COUNTERS_FRESH: Duration = Duration::from_secs(1);

/// A state, and the newest answer of `GET /counters`, the one answer that can be large.
struct Shared {
    state: State,
    counters: Mutex<Option<(Instant, Bytes)>>,
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) {
    let shared = Arc::new(Shared { state, counters: Mutex::default() });
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            () = connections.one_ended() => continue,
        };
        match accepted {
            Ok((stream, from)) => {
                connections.add(from.ip(), connection(stream, shared.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: there is nothing to do but let some go.
                tracing::warn!(%error, "the admin server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.end().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut server = http1::Builder::new();
    server.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let service = service_fn(|request| answer::answer(request, &shared));
    // That a stranger breaks off, or takes too long, is nobody's concern.
    tokio::time::timeout(CONNECTION, server.serve_connection(TokioIo::new(stream), service)).await.ok();
}
