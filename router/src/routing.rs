//! One request's way to an endpoint, for every protocol alike: its key, the version that the table gives, the hold while
//! that version has no endpoint that answers, the attempts at others when one refuses, and its counting.

use crate::{
    balance::{self, Lease},
    count::{Meter, is_grpc_error},
    limits::{HELD, TRY_AGAIN},
    probe::{Noting, Seen},
    table::{Endpoint, Pool, RoutedTarget, Snapshot},
    worker::Worker,
};
use lapdev_api::key::EnvironmentKey;
use std::{io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// Endpoints that one request tries before it waits.
const ATTEMPTS: usize = 3;

/// What is known of a request when it is routed.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What its connection's port stood for when that was accepted.
    pub target: &'a Arc<RoutedTarget>,
    /// Its key: of `tracestate`, else of `baggage`.
    pub key: Option<EnvironmentKey>,
    /// Who sent it.
    pub client: IpAddr,
}

/// A version's name, kept without allocating: `baseline`, or a key.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    length: u8,
    bytes: [u8; Self::LONGEST],
}

impl Label {
    const LONGEST: usize = 23;

    fn new(name: &str) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let length = name.len().min(Self::LONGEST);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        Self { length: u8::try_from(length).unwrap_or(0), bytes }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// Where the table sends a request.
#[derive(Debug)]
pub struct Route {
    /// The endpoints that may answer it.
    pub pool: Arc<Pool>,
    /// Whose they are.
    pub version: Label,
    /// What the port stands for now.
    pub target: Arc<RoutedTarget>,
    /// Whether answers say who gave them.
    pub says_who: bool,
    meter: Option<Meter>,
    hold: Duration,
}

impl Route {
    fn of(worker: &Worker, asked: &Asked<'_>) -> Self {
        let snapshot = worker.snapshot();
        let target = worker.target(&snapshot, asked.target);
        let version = snapshot.choose(&target, asked.key.as_ref());
        Self {
            pool: version.pool.clone(),
            version: Label::new(version.served_by()),
            meter: version.meter(&target),
            says_who: snapshot.served_by,
            hold: snapshot.hold,
            target,
        }
    }

    /// What `x-lapdev-served-by` says, if it is to be said.
    #[must_use]
    pub fn served_by(&self) -> Option<&str> {
        self.says_who.then(|| self.version.as_str())
    }
}

/// Why no endpoint could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There was none for as long as requests are held.
    #[error("has no ready endpoint")]
    NoneReady,
    /// There are some, and they refuse connections.
    #[error("accepts no connections")]
    AllRefuse,
    /// Too many requests are held already.
    #[error("has no ready endpoint, and too many requests wait for one")]
    TooManyHeld,
}

/// A request on its way: counted once, whatever becomes of it.
#[derive(Debug)]
pub struct Journey {
    /// Where it goes.
    pub route: Route,
    noting: Option<Noting>,
    /// Once it was counted, until it was counted as an error.
    meter: Option<Meter>,
}

impl Journey {
    /// Finds the request's way at its beginning, and counts it.
    pub fn begin(worker: &Worker, asked: &Asked<'_>) -> Self {
        Self { route: Route::of(worker, asked), noting: None, meter: None }
    }

    /// Has a probe that is under way note the request. `seen` and `request` are asked only then.
    pub fn note<'s>(&mut self, worker: &Worker, asked: &Asked<'_>, seen: impl FnOnce() -> (Seen<'s>, String)) {
        if let Some(armed) = worker.shared.probes.active() {
            let (seen, request) = seen();
            let snapshot = worker.snapshot();
            let from = snapshot.station(asked.client.to_canonical());
            let to = snapshot.choose(&self.route.target, asked.key.as_ref()).station(&self.route.target);
            self.noting = armed.note(seen, &request, from, to);
        }
    }

    /// Connects to an endpoint by `dial`, which may give a connection that is open already: to another one where one
    /// refuses, and again as long as requests are held.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn connect<C>(
        &mut self,
        worker: &Worker,
        asked: &Asked<'_>,
        dial: impl AsyncFn(&Arc<Endpoint>) -> io::Result<C>,
    ) -> Result<(Lease, C), Unavailable> {
        if let Some(connected) = self.attempt(worker, asked, &dial).await {
            return Ok(connected);
        }
        // In a box: it is rare, and every request would hold room for it.
        Box::pin(self.held(worker, asked, &dial)).await
    }

    async fn held<C>(
        &mut self,
        worker: &Worker,
        asked: &Asked<'_>,
        dial: &impl AsyncFn(&Arc<Endpoint>) -> io::Result<C>,
    ) -> Result<(Lease, C), Unavailable> {
        let mut hold = Hold::begin(worker, self.route.hold)?;
        loop {
            if !hold.wait(!self.route.pool.endpoints.is_empty()).await {
                worker.shared.metrics.held_in_vain.inc();
                let none = self.route.pool.endpoints.is_empty();
                return Err(if none { Unavailable::NoneReady } else { Unavailable::AllRefuse });
            }
            self.route = Route::of(worker, asked);
            if let Some(connected) = self.attempt(worker, asked, dial).await {
                return Ok(connected);
            }
        }
    }

    async fn attempt<C>(
        &self,
        worker: &Worker,
        asked: &Asked<'_>,
        dial: &impl AsyncFn(&Arc<Endpoint>) -> io::Result<C>,
    ) -> Option<(Lease, C)> {
        let client = self.route.target.affinity.map(|_| asked.client);
        let mut tried = Vec::new();
        while tried.len() < ATTEMPTS {
            let endpoint = balance::pick(&self.route.pool, &tried, client, &mut worker.dice.borrow_mut())?.clone();
            let lease = Lease::new(&endpoint);
            if !tried.is_empty() {
                worker.shared.metrics.retries.inc();
            }
            match dial(&endpoint).await {
                Ok(connection) => {
                    balance::accepted(&endpoint);
                    return Some((lease, connection));
                }
                Err(error) => {
                    tracing::debug!(%error, endpoint = %endpoint.address, "no connection");
                    worker.shared.metrics.dial_failures.inc();
                    if balance::failed(&endpoint) {
                        worker.shared.metrics.ejections.inc();
                    }
                    tried.push(endpoint);
                }
            }
        }
        None
    }

    /// It was answered with this status, by an endpoint or for it.
    pub fn answered(&mut self, status: u16) {
        self.count();
        if status >= 500 {
            self.errs();
        }
        if let Some(noting) = &self.noting {
            noting.answered(status);
        }
    }

    /// Its gRPC status, which an answer says at its end.
    pub fn grpc(&mut self, status: u32) {
        if is_grpc_error(status) {
            self.errs();
        }
    }

    fn errs(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.error();
        }
    }

    /// Only once it is certain which version it goes to.
    fn count(&mut self) {
        if let Some(meter) = self.route.meter.take() {
            meter.request();
            self.meter = Some(meter);
        }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.count();
    }
}

/// A request that is held: it counts among a bounded number, until a time.
struct Hold<'w> {
    worker: &'w Worker,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    until: Instant,
}

impl<'w> Hold<'w> {
    fn begin(worker: &'w Worker, time: Duration) -> Result<Self, Unavailable> {
        if worker.held.get() >= HELD {
            return Err(Unavailable::TooManyHeld);
        }
        worker.held.set(worker.held.get() + 1);
        worker.shared.metrics.holding.inc();
        worker.shared.metrics.held.inc();
        let mut snapshots = worker.shared.snapshots.clone();
        // What changed before the route was looked up is no news; what changed since is seen at once.
        if Arc::ptr_eq(&snapshots.borrow(), &worker.snapshot()) {
            snapshots.mark_unchanged();
        }
        Ok(Self { worker, snapshots, until: Instant::now() + time })
    }

    /// Waits for a change, or only for a moment `if_some` endpoints are worth trying again. Whether there is time left.
    async fn wait(&mut self, if_some: bool) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        let until = if if_some { self.until.min(now + TRY_AGAIN) } else { self.until };
        match timeout_at(until, self.snapshots.changed()).await {
            Ok(Ok(())) => true,
            // Nobody publishes any more.
            Ok(Err(_)) => {
                tokio::time::sleep_until(until).await;
                if_some
            }
            Err(_) => if_some,
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.worker.held.set(self.worker.held.get() - 1);
        self.worker.shared.metrics.holding.dec();
    }
}
