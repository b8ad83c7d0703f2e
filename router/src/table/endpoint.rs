//! Where a request can go: an endpoint, which keeps its identity for as long as anyone uses it, and the pool of those that
//! one version of one Service port has now.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64},
    },
};

/// One address and port of a pod. The same one in every [`super::Snapshot`], so that what is under way and what failed is
/// known over every change of the table.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Requests under way.
    pub load: AtomicU32,
    /// Until when it is left out, in milliseconds of the balancer's own clock; 0 is never.
    pub ejected_until: AtomicU64,
    /// Failures in a row.
    pub failures: AtomicU32,
}

impl Endpoint {
    /// An endpoint that nothing is known of.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let (load, ejected_until, failures) = (AtomicU32::new(0), AtomicU64::new(0), AtomicU32::new(0));
        Self { address, load, ejected_until, failures }
    }
}

/// The endpoints that may be used of one version of one Service port. Empty: there is none now.
#[derive(Debug, Default)]
pub struct Pool {
    /// In the order of their addresses, each once.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// What an EndpointSlice says of an address, as kube-proxy reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// For new requests.
    Ready,
    /// On its way out and still answering: used where no other is ready.
    Leaving,
    /// Not to be used.
    Unready,
}

impl Readiness {
    /// Of the conditions `ready`, `serving` and `terminating`: unset ones mean ready, as ready as that, and not leaving.
    #[must_use]
    pub fn of(ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>) -> Self {
        let ready = ready.unwrap_or(true);
        match (ready, serving.unwrap_or(ready), terminating.unwrap_or(false)) {
            (true, ..) => Self::Ready,
            (false, true, true) => Self::Leaving,
            (false, ..) => Self::Unready,
        }
    }
}

/// Which addresses of `all` may be used: the ready ones, else those that leave and still answer; of two families IPv4,
/// since a pod of both would else count twice. Sorted, each once, however many slices name it.
pub(super) fn usable(all: &[(SocketAddr, Readiness)]) -> Vec<SocketAddr> {
    let of = |wanted| {
        let mut found: Vec<_> = all.iter().filter(|(_, is)| *is == wanted).map(|(address, _)| *address).collect();
        if found.iter().any(SocketAddr::is_ipv4) {
            found.retain(SocketAddr::is_ipv4);
        }
        found.sort_unstable();
        found.dedup();
        found
    };
    let ready = of(Readiness::Ready);
    if ready.is_empty() { of(Readiness::Leaving) } else { ready }
}

/// Every endpoint that anyone uses, by address. Holds none alive.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    known: HashMap<SocketAddr, Weak<Endpoint>>,
    /// Clean up when so many are known.
    clean_at: usize,
}

impl Endpoints {
    pub(super) fn pool(&mut self, addresses: &[SocketAddr]) -> Pool {
        Pool { endpoints: addresses.iter().map(|address| self.get(*address)).collect() }
    }

    fn get(&mut self, address: SocketAddr) -> Arc<Endpoint> {
        if let Some(known) = self.known.get(&address).and_then(Weak::upgrade) {
            return known;
        }
        if self.known.len() >= self.clean_at.max(64) {
            self.known.retain(|_, endpoint| endpoint.strong_count() > 0);
            self.clean_at = self.known.len() * 2;
        }
        let endpoint = Arc::new(Endpoint::new(address));
        self.known.insert(address, Arc::downgrade(&endpoint));
        endpoint
    }
}

/// One address of a slice; its port follows from the slice's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The pod's.
    pub ip: IpAddr,
    /// Whether it may be used.
    pub readiness: Readiness,
}
