//! A worker: one thread with a runtime of its own, which serves the connections that are handed to it from the first byte
//! to the last, their endpoints' side included, so that no request crosses a thread. What it knows is in [`Worker`].

use crate::{
    accept::Accepted,
    balance::Dice,
    connection,
    count::Metrics,
    drain::Phase,
    h2::Upstreams,
    idle::Idle,
    limits::CONNECTIONS,
    probe::Probes,
    table::{RoutedTarget, Snapshot},
};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{Notify, mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_util::task::TaskTracker;

/// Connections that may wait to be taken by a worker.
const HANDED: usize = 128;
/// How often idle connections are looked over.
const SWEEP: Duration = Duration::from_secs(2);

/// What the whole router shares, as a worker sees it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// What requests are routed by.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// How far the end has come.
    pub phase: watch::Receiver<Phase>,
    /// The place for a probe.
    pub probes: Arc<Probes>,
    /// The router's counters.
    pub metrics: Arc<Metrics>,
}

/// What every connection of a worker uses. Of one thread: nothing of it is locked.
#[derive(Debug)]
pub struct Worker {
    /// What is shared with other workers.
    pub shared: Shared,
    /// Connections to endpoints that wait for a request.
    pub idle: RefCell<Idle>,
    /// HTTP/2 connections to endpoints.
    pub upstreams: Upstreams,
    /// For drawing endpoints.
    pub dice: RefCell<Dice>,
    /// Requests that are held.
    pub held: Cell<usize>,
    /// HTTP/2 streams that stand still, and have more room for it.
    pub standing: Cell<usize>,
    closing: Notify,
    is_closing: Cell<bool>,
    snapshots: RefCell<watch::Receiver<Arc<Snapshot>>>,
    snapshot: RefCell<Arc<Snapshot>>,
    /// Every task of this thread but the worker's own.
    pub tasks: TaskTracker,
}

impl Worker {
    fn new(shared: Shared, seed: u64) -> Self {
        let mut snapshots = shared.snapshots.clone();
        let snapshot = RefCell::new(snapshots.borrow_and_update().clone());
        Self {
            shared,
            idle: RefCell::default(),
            upstreams: Upstreams::default(),
            dice: RefCell::new(Dice::new(seed)),
            held: Cell::new(0),
            standing: Cell::new(0),
            closing: Notify::new(),
            is_closing: Cell::new(false),
            snapshots: RefCell::new(snapshots),
            snapshot,
            tasks: TaskTracker::new(),
        }
    }

    /// The newest snapshot. Costs an atomic load while it is the one of before.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let mut snapshots = self.snapshots.borrow_mut();
        // If nobody publishes any more, the last one stays.
        if snapshots.has_changed().unwrap_or(false) {
            *self.snapshot.borrow_mut() = snapshots.borrow_and_update().clone();
        }
        self.snapshot.borrow().clone()
    }

    /// What stands now for what a connection was opened to. Where its router port is another Service's by now, or nobody's,
    /// it is what it was: who connected to one Service must never be answered by another.
    pub fn target(&self, snapshot: &Snapshot, known: &Arc<RoutedTarget>) -> Arc<RoutedTarget> {
        let is_same = |now: &&Arc<RoutedTarget>| now.port.port == known.port.port && now.service == known.service;
        snapshot.port(known.port.listen).filter(is_same).unwrap_or(known).clone()
    }

    /// Lets go of what nobody uses any more.
    fn sweep(&self) {
        // A worker without requests would keep an old table, and with it endpoints that are gone.
        drop(self.snapshot());
        self.idle.borrow_mut().sweep();
        self.upstreams.sweep();
    }

    /// Whether connections are to end as soon as nothing is under way on them.
    pub fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Ends when [`Self::is_closing`] begins.
    pub async fn until_closing(&self) {
        // Nothing else runs on this thread between the question and the wait.
        if !self.is_closing() {
            self.closing.notified().await;
        }
    }
}

/// Where connections are handed to a worker.
#[derive(Debug)]
pub struct Handle {
    sender: mpsc::Sender<Accepted>,
    /// Connections that it has.
    pub connections: Arc<AtomicUsize>,
    /// The thread; it ends when every sender is gone and every connection served.
    pub thread: thread::JoinHandle<()>,
}

impl Handle {
    /// Starts worker number `number`.
    ///
    /// # Errors
    /// If the system gives no thread or no runtime.
    pub fn start(number: usize, shared: Shared) -> io::Result<Self> {
        let (sender, handed) = mpsc::channel(HANDED);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let run = move || {
            let seed = getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15);
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(work(Rc::new(Worker::new(shared, seed)), handed, count)),
                Err(error) => tracing::error!(%error, "a worker has no runtime"),
            }
        };
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        Ok(Self { sender, connections, thread })
    }

    /// Whether it has room for another connection. One that has ended has none: it would otherwise have the fewest for ever.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.sender.is_closed() && self.connections.load(Relaxed) < CONNECTIONS
    }

    /// Waits until it has ended, as it does by itself only if it broke.
    pub async fn ended(&self) {
        self.sender.closed().await;
    }

    /// Hands it a connection. It is the worker's from then on.
    pub async fn hand(&self, accepted: Accepted) {
        self.connections.fetch_add(1, Relaxed);
        if self.sender.send(accepted).await.is_err() {
            self.connections.fetch_sub(1, Relaxed);
        }
    }

    /// Tells it that no more connections come. Its thread.
    #[must_use]
    pub fn finish(self) -> thread::JoinHandle<()> {
        self.thread
    }
}

async fn work(worker: Rc<Worker>, mut handed: mpsc::Receiver<Accepted>, count: Arc<AtomicUsize>) {
    let mut phases = worker.shared.phase.clone();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = handed.recv() => match accepted {
                Some(accepted) => take(&worker, accepted, &count),
                None => break,
            },
            _ = sweep.tick() => worker.sweep(),
            Ok(()) = phases.changed() => enter(&worker, *phases.borrow_and_update()),
        }
    }
    worker.tasks.close();
    loop {
        // The end of the hand-overs may be seen before the phase that caused it.
        let phase = *phases.borrow_and_update();
        enter(&worker, phase);
        if phase == Phase::Over {
            break;
        }
        tokio::select! {
            () = worker.tasks.wait() => break,
            Ok(()) = phases.changed() => {}
        }
    }
}

fn enter(worker: &Worker, phase: Phase) {
    if phase >= Phase::Closing && !worker.is_closing.replace(true) {
        worker.closing.notify_waiters();
    }
}

fn take(worker: &Rc<Worker>, accepted: Accepted, count: &Arc<AtomicUsize>) {
    let (worker_too, open) = (worker.clone(), Open::new(count.clone(), &worker.shared.metrics));
    worker.tasks.spawn_local(async move {
        let _open = open;
        connection::serve(worker_too, accepted).await;
    });
}

/// Counts a connection until it is dropped.
struct Open {
    count: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Open {
    fn new(count: Arc<AtomicUsize>, metrics: &Arc<Metrics>) -> Self {
        metrics.accepted.inc();
        metrics.connections.inc();
        Self { count, metrics: metrics.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
        self.metrics.connections.dec();
    }
}

#[cfg(test)]
impl Handle {
    /// Of a worker that lives as long as what it would be handed connections by.
    pub(crate) fn of_nobody() -> (Self, mpsc::Receiver<Accepted>) {
        let (sender, handed) = mpsc::channel(1);
        (Self { sender, connections: Arc::default(), thread: thread::spawn(|| {}) }, handed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::table::{Address, Index, Readiness, Slice};
    use lapdev_api::route::{RoutedPort, RoutedService, RoutingTable};
    use std::{net::SocketAddr, time::Instant};

    fn table(listens: &[(&str, u16)]) -> RoutingTable {
        let services = listens.iter().map(|(service, listen)| {
            let port = RoutedPort { name: String::new(), port: 80, listen: *listen, app_protocol: None };
            let baseline = format!("{service}--baseline");
            ((*service).to_owned(), RoutedService { baseline, ports: vec![port], affinity_seconds: None })
        });
        RoutingTable { services: services.collect(), ..RoutingTable::default() }
    }

    pub(crate) struct Ground {
        index: Index,
        publish: watch::Sender<Arc<Snapshot>>,
        pub(crate) worker: Worker,
    }

    impl Ground {
        pub(crate) fn new(listens: &[(&str, u16)]) -> Self {
            let (publish, snapshots) = watch::channel(Arc::default());
            let (_, phase) = watch::channel(Phase::Serving);
            let shared = Shared { snapshots, phase, probes: Arc::default(), metrics: Arc::default() };
            let mut ground = Self { index: Index::default(), publish, worker: Worker::new(shared, 1) };
            ground.put("1", listens);
            ground
        }

        fn put(&mut self, version: &str, listens: &[(&str, u16)]) {
            self.index.set_table(version, &table(listens), Instant::now());
            self.publish.send_replace(Arc::new(self.index.changed().expect("a new table")));
        }

        /// The one endpoint of the baseline of `web`.
        pub(crate) fn baseline(&mut self, at: SocketAddr) {
            self.index.put(Slice {
                name: "web".into(),
                service: "web--baseline".into(),
                ports: [("".into(), at.port())].into(),
                addresses: [Address { ip: at.ip(), readiness: Readiness::Ready }].into(),
            });
            self.publish.send_replace(Arc::new(self.index.changed().expect("a new endpoint")));
        }
    }

    #[test]
    fn a_connection_stays_with_its_service_when_the_router_port_is_given_to_another() {
        let mut ground = Ground::new(&[("web", 12_000)]);
        let known = ground.worker.snapshot().port(12_000).expect("it listens").clone();
        ground.put("2", &[("cart", 12_000), ("web", 12_001)]);
        let snapshot = ground.worker.snapshot();
        assert_eq!(&*snapshot.port(12_000).expect("it listens").service, "cart");
        assert_eq!(&*ground.worker.target(&snapshot, &known).service, "web");
    }

    #[test]
    fn a_worker_without_requests_keeps_no_old_table() {
        let mut ground = Ground::new(&[("web", 12_000)]);
        let old = Arc::downgrade(&ground.worker.snapshot());
        ground.put("2", &[("web", 12_000)]);
        ground.worker.sweep();
        assert!(old.upgrade().is_none());
    }

    #[test]
    fn a_worker_that_has_ended_gets_no_connections() {
        let (handle, handed) = Handle::of_nobody();
        assert!(handle.has_room());
        drop(handed);
        assert!(!handle.has_room());
    }
}
