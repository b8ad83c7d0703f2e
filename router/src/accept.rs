//! Accepts connections on every router port that the table names, and hands each to the worker with the fewest. Ports come
//! and go with the table; one that left it is listened on for as long as the table's index keeps it.

use crate::{
    drain::Phase,
    listen,
    table::{RoutedTarget, Snapshot},
    worker::Handle,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// After this it is tried again to listen on a port that could not be had, or to accept when the system gave nothing.
const AGAIN: Duration = Duration::from_millis(200);

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// It; it does not block.
    pub stream: TcpStream,
    /// Who opened it.
    pub from: SocketAddr,
    /// What the port stood for then.
    pub target: Arc<RoutedTarget>,
}

/// Listens as the table says until [`Phase::Closing`]. `listening` is kept at what really listens. When it ends nobody holds
/// `workers` on its account any more.
pub async fn run(
    address: IpAddr,
    workers: Arc<Vec<Handle>>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut phase: watch::Receiver<Phase>,
    listening: watch::Sender<BTreeSet<u16>>,
) {
    let mut open: HashMap<u16, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let wanted: BTreeSet<u16> = snapshot.listens().collect();
        open.retain(|port, _| wanted.contains(port));
        let mut missing = false;
        for port in &wanted {
            if open.contains_key(port) {
                continue;
            }
            match listen::on(SocketAddr::new(address, *port)) {
                Ok(listener) => {
                    let task = tokio::spawn(accept(*port, listener, workers.clone(), snapshots.clone()));
                    open.insert(*port, AbortOnDropHandle::new(task));
                }
                Err(error) => {
                    missing = true;
                    tracing::warn!(%error, port, "a router port cannot be listened on; it is tried again");
                }
            }
        }
        listening.send_replace(open.keys().copied().collect());
        let changed = async {
            if snapshots.changed().await.is_err() {
                // Nobody publishes any more: what listens goes on.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => break,
            () = sleep(AGAIN), if missing => {}
        }
    }
    open.values().for_each(AbortOnDropHandle::abort);
    for task in open.into_values() {
        // It was aborted, so that is all that it can say.
        let _ = task.await;
    }
}

async fn accept(
    port: u16,
    listener: TcpListener,
    workers: Arc<Vec<Handle>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
) {
    loop {
        match listener.accept().await.and_then(|(stream, from)| Ok((stream.into_std()?, from))) {
            Ok((stream, from)) => {
                let Some(target) = snapshots.borrow().port(port).cloned() else { continue };
                with_fewest(&workers).await.hand(Accepted { stream, from, target }).await;
            }
            Err(error) => {
                tracing::warn!(%error, port, "no connection can be accepted; it is tried again");
                sleep(AGAIN).await;
            }
        }
    }
}

/// The worker with the fewest connections. While all are full, further connections wait in the system's queue.
async fn with_fewest(workers: &[Handle]) -> &Handle {
    loop {
        let fewest = workers.iter().min_by_key(|worker| worker.connections.load(Relaxed));
        match fewest.filter(|worker| worker.has_room()) {
            Some(worker) => return worker,
            None => sleep(AGAIN).await,
        }
    }
}
