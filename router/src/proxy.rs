//! The data plane as a whole: workers, and what accepts connections for them. Begun with a snapshot that changes, ended by
//! draining.

use crate::{
    accept,
    count::Metrics,
    drain::{self, Phase, Times},
    probe::Probes,
    table::Snapshot,
    worker::{Handle, Shared},
};
use std::{collections::BTreeSet, io, net::IpAddr, sync::Arc, thread};
use tokio::{sync::watch, task::JoinHandle};

/// What it is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where router ports are listened on.
    pub address: IpAddr,
    /// How many workers serve connections.
    pub workers: usize,
    /// What requests are routed by.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The place for a probe.
    pub probes: Arc<Probes>,
    /// The router's counters.
    pub metrics: Arc<Metrics>,
}

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    phase: watch::Sender<Phase>,
    listening: watch::Receiver<BTreeSet<u16>>,
    acceptor: JoinHandle<()>,
    workers: Arc<Vec<Handle>>,
}

impl Proxy {
    /// Starts it. Must be called within a tokio runtime, which accepts the connections.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let (phase, phases) = watch::channel(Phase::Serving);
        let Parts { address, workers, snapshots, probes, metrics } = parts;
        let shared = Shared { snapshots: snapshots.clone(), phase: phases.clone(), probes, metrics };
        let workers = (0..workers.max(1)).map(|number| Handle::start(number, shared.clone()));
        let workers = Arc::new(workers.collect::<io::Result<Vec<Handle>>>()?);
        let (tell, listening) = watch::channel(BTreeSet::new());
        let acceptor = tokio::spawn(accept::run(address, workers.clone(), snapshots, phases, tell));
        Ok(Self { phase, listening, acceptor, workers })
    }

    /// The router ports that accept connections.
    #[must_use]
    pub fn listening(&self) -> watch::Receiver<BTreeSet<u16>> {
        self.listening.clone()
    }

    /// How far its end has come.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Ends when no worker is left, as it happens only if each broke: single ones just get no more connections.
    pub async fn ended(&self) {
        for worker in self.workers.iter() {
            worker.ended().await;
        }
    }

    /// Ends it: nothing that is under way is lost, as far as time allows.
    pub async fn drain(self, times: Times) {
        let Self { phase, listening, acceptor, workers } = self;
        drop(listening);
        let all_ended = async {
            // Ends when closing begins; then the handles are ours alone.
            let _ = acceptor.await;
            let handles = Arc::try_unwrap(workers).unwrap_or_default();
            let threads: Vec<_> = handles.into_iter().map(Handle::finish).collect();
            // Joining blocks.
            let _ = tokio::task::spawn_blocking(|| threads.into_iter().try_for_each(thread::JoinHandle::join)).await;
        };
        tokio::pin!(all_ended);
        tokio::select! {
            () = &mut all_ended => return,
            () = drain::run(&phase, times) => {}
        }
        all_ended.await;
    }
}

#[cfg(test)]
impl Proxy {
    /// One that serves nothing, with these workers.
    pub(crate) fn of(workers: Vec<Handle>) -> Self {
        let ((phase, _), (_, listening)) = (watch::channel(Phase::Serving), watch::channel(BTreeSet::new()));
        Self { phase, listening, acceptor: tokio::spawn(async {}), workers: Arc::new(workers) }
    }
}
