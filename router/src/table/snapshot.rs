//! What the routers' workers read: who answers on a router port, for a key. Immutable and swapped whole; a look-up takes
//! the same time for ten branches as for ten thousand, and allocates nothing.

use super::{
    Pool,
    branches::{Branch, Branches},
};
use crate::count::{Life, Meter};
use lapdev_api::{
    key::{BASELINE, EnvironmentKey},
    route::{RoutedPort, Station},
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// By address: the Service, and the branch.
pub(super) type Stations = HashMap<IpAddr, (Arc<str>, Option<Arc<Life>>)>;

/// One port of one routed Service: what a router port stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedTarget {
    /// Distinct for each (Service, port name) of this process's life.
    pub(super) id: u32,
    /// Where each key's counters of this Service are.
    pub(super) slot: u32,
    /// The Service whose endpoints are the baseline's.
    pub(super) baseline: Arc<str>,
    /// The routed Service.
    pub service: Arc<str>,
    /// Its port.
    pub port: RoutedPort,
    /// For how long a client's address stays with an endpoint, if at all.
    pub affinity: Option<Duration>,
}

/// Everything that requests are routed by, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Whether answers say which version gave them.
    pub served_by: bool,
    /// How long a request waits for a branch's workload without a ready endpoint.
    pub hold: Duration,
    /// The ConfigMap's `resourceVersion`; none before the first.
    pub resource_version: Option<Arc<str>>,
    /// The digest of the agent's token, as [`lapdev_api::labels::ROUTER_TOKEN`] has it.
    pub token: Option<Arc<str>>,
    /// Whether a table and every EndpointSlice were read.
    pub complete: bool,
    pub(super) listeners: Arc<HashMap<u16, Arc<RoutedTarget>>>,
    /// By target id.
    pub(super) baselines: Vec<Option<Arc<Pool>>>,
    pub(super) branches: Branches,
    pub(super) empty: Arc<Pool>,
    pub(super) stations: OnceLock<Stations>,
}

/// Which version answers a request.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// Its endpoints.
    pub pool: &'a Arc<Pool>,
    /// Whether it is the branch's own, so that an empty pool is worth waiting for.
    pub branch: bool,
    living: Option<&'a Arc<Life>>,
}

impl<'a> Version<'a> {
    /// What [`lapdev_api::route::SERVED_BY`] says.
    #[must_use]
    pub fn served_by(&self) -> &'a str {
        self.living.filter(|_| self.branch).map_or(BASELINE, |life| life.key.as_str())
    }

    /// The version by name, for the hop of a probe.
    #[must_use]
    pub fn station(&self, target: &RoutedTarget) -> Station {
        let key = self.living.filter(|_| self.branch).map(|life| life.key.clone());
        Station { service: target.service.to_string(), key }
    }

    /// Counts this request; none where it carries no living key, which costs nothing.
    #[must_use]
    pub fn meter(&self, target: &RoutedTarget) -> Option<Meter> {
        self.living.map(|life| Meter::new(life, target.slot, self.branch))
    }
}

impl Snapshot {
    /// The router ports that have to accept connections.
    pub fn listens(&self) -> impl Iterator<Item = u16> {
        self.listeners.keys().copied()
    }

    /// Which Service and port a router port stands for.
    #[must_use]
    pub fn port(&self, listen: u16) -> Option<&Arc<RoutedTarget>> {
        self.listeners.get(&listen)
    }

    /// Who answers a request with this key. An unknown or closed key, and a Service that the branch does not run, mean the
    /// baseline.
    #[must_use]
    pub fn choose(&self, target: &RoutedTarget, key: Option<&EnvironmentKey>) -> Version<'_> {
        let branch = key.and_then(|key| self.branches.get(key.as_str()));
        let living = branch.map(|branch| &branch.life);
        match branch.and_then(|branch| branch.pool(target.id)) {
            Some(pool) => Version { pool, branch: true, living },
            None => Version { pool: self.baseline(target), branch: false, living },
        }
    }

    fn baseline(&self, target: &RoutedTarget) -> &Arc<Pool> {
        let pool = usize::try_from(target.id).ok().and_then(|id| self.baselines.get(id));
        pool.and_then(Option::as_ref).unwrap_or(&self.empty)
    }

    /// Each living branch.
    pub fn branches(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.branches.iter()
    }

    /// The routed Service's name for each slot of [`Life`]'s counters.
    #[must_use]
    pub fn services(&self) -> HashMap<u32, &str> {
        self.listeners.values().map(|target| (target.slot, &*target.service)).collect()
    }

    /// Whose endpoint an address is. The first call on a snapshot reads all of it: for probes alone.
    #[must_use]
    pub fn station(&self, ip: IpAddr) -> Option<Station> {
        let (service, life) = self.stations.get_or_init(|| self.all_stations()).get(&ip)?;
        Some(Station { service: service.to_string(), key: life.as_ref().map(|life| life.key.clone()) })
    }

    /// A pod behind two Services is the one's that is first by name.
    fn all_stations(&self) -> Stations {
        let mut targets: Vec<&Arc<RoutedTarget>> = self.listeners.values().collect();
        targets.sort_unstable_by(|one, other| other.service.cmp(&one.service));
        let mut stations = HashMap::new();
        for target in targets {
            let baseline = (self.baseline(target), None);
            let own = self.branches().filter_map(|branch| Some((branch.pool(target.id)?, Some(&branch.life))));
            for (pool, life) in own.chain([baseline]) {
                for endpoint in &pool.endpoints {
                    stations.insert(endpoint.address.ip().to_canonical(), (target.service.clone(), life.cloned()));
                }
            }
        }
        stations
    }
}
