//! One routed Service `web` behind a running proxy, and the table and endpoints that a test changes.

use lapdev_api::{
    key::EnvironmentKey,
    route::{RoutedPort, RoutedService, RoutingTable},
};
use lapdev_router::{
    count::Metrics,
    drain::Times,
    probe::Probes,
    proxy::{Parts, Proxy},
    table::{Address, Index, Readiness, Slice, Snapshot},
};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A branch's key.
pub const KEY: &str = "feature-x-abc234";
/// How long a test waits for what must happen.
pub const SOON: Duration = Duration::from_secs(20);

pub fn key(text: &str) -> EnvironmentKey {
    text.parse().expect("a legal key")
}

pub struct Ground {
    index: Index,
    table: RoutingTable,
    version: u32,
    publish: watch::Sender<Arc<Snapshot>>,
    proxy: Option<Proxy>,
    slices: Vec<(String, Vec<String>)>,
    pub metrics: Arc<Metrics>,
    /// Where `web` is reached.
    pub web: SocketAddr,
}

impl Ground {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// `change` makes the table another one than usual.
    pub async fn with(change: impl FnOnce(&mut RoutingTable)) -> Self {
        // One worker, so that a test knows which connections to endpoints there are.
        Self::of(1, change).await
    }

    pub async fn of(workers: usize, change: impl FnOnce(&mut RoutingTable)) -> Self {
        // An address for each, so that no test meets another one's router on a port that was given up.
        static GROUNDS: AtomicU8 = AtomicU8::new(1);
        let address = Ipv4Addr::new(127, 77, 0, GROUNDS.fetch_add(1, Ordering::Relaxed));
        Self::at(SocketAddr::new(address.into(), 12_000), workers, change).await
    }

    /// Where `web` is listened on.
    pub async fn at(web: SocketAddr, workers: usize, change: impl FnOnce(&mut RoutingTable)) -> Self {
        let port = RoutedPort { name: String::new(), port: 80, listen: web.port(), app_protocol: None };
        let service = RoutedService { baseline: "web--baseline".to_owned(), ports: vec![port], affinity_seconds: None };
        let mut table = RoutingTable {
            served_by: true,
            hold_seconds: 10,
            services: [("web".to_owned(), service)].into(),
            ..Default::default()
        };
        change(&mut table);
        let (publish, snapshots) = watch::channel(Arc::default());
        let metrics = Arc::new(Metrics::default());
        let probes = Arc::new(Probes::default());
        let parts = Parts { address: web.ip(), workers, snapshots, probes, metrics: metrics.clone() };
        let proxy = Some(Proxy::start(parts).expect("threads"));
        let mut index = Index::default();
        index.begin_listing();
        index.end_listing();
        let mut ground = Self { index, table, version: 0, publish, proxy, slices: Vec::new(), metrics, web };
        ground.put_table();
        let mut listening = ground.proxy.as_ref().expect("it runs").listening();
        let listens = listening.wait_for(|ports: &BTreeSet<u16>| ports.contains(&web.port()));
        tokio::time::timeout(SOON, listens).await.expect("it listens").expect("it lives");
        ground
    }

    fn put_table(&mut self) {
        self.version += 1;
        self.index.set_table(&self.version.to_string(), &self.table, Instant::now());
        self.publish();
    }

    fn publish(&mut self) {
        if let Some(snapshot) = self.index.changed() {
            self.publish.send_replace(Arc::new(snapshot));
        }
    }

    /// The endpoints of the baseline, from now on.
    pub fn baseline(&mut self, endpoints: &[SocketAddr]) {
        self.endpoints("web--baseline", endpoints);
    }

    /// Opens a branch that runs `web`, with these endpoints.
    pub fn branch(&mut self, of: &str, endpoints: &[SocketAddr]) {
        self.endpoints(&RoutedService::of_branch("web", &key(of)), endpoints);
        self.table.branches.insert(key(of), ["web".to_owned()].into());
        self.put_table();
    }

    /// Closes it.
    pub fn close(&mut self, of: &str) {
        self.table.branches.remove(&key(of));
        self.put_table();
    }

    /// One slice for each, since each has a port of its own.
    fn endpoints(&mut self, service: &str, endpoints: &[SocketAddr]) {
        let slice = |at: &SocketAddr| Slice {
            name: format!("{service}-{at}").into(),
            service: service.into(),
            ports: [("".into(), at.port())].into(),
            addresses: [Address { ip: at.ip(), readiness: Readiness::Ready }].into(),
        };
        let new: Vec<Slice> = endpoints.iter().map(slice).collect();
        let names: Vec<String> = new.iter().map(|slice| slice.name.to_string()).collect();
        new.into_iter().for_each(|slice| self.index.put(slice));
        let before = self.slices.iter().position(|(of, _)| of == service).map(|at| self.slices.swap_remove(at).1);
        for gone in before.unwrap_or_default().iter().filter(|name| !names.contains(name)) {
            self.index.remove(gone);
        }
        self.slices.push((service.to_owned(), names));
        self.publish();
    }

    /// Ends the proxy, as SIGTERM does.
    pub fn drain(&mut self, within: Duration) -> impl Future<Output = ()> + use<> {
        let proxy = self.proxy.take().expect("it drains once");
        async move { proxy.drain(Times::within(within)).await }
    }

    /// One line of the metrics.
    pub fn metric(&self, name: &str) -> String {
        let text = self.metrics.text();
        let line = text.lines().find(|line| line.starts_with(&format!("lapdev_router_{name} ")));
        line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}
