//! The newest table and slices, and the snapshot that follows from them. A change touches what it concerns: a slice one
//! pool of one branch, an opened branch its own pools.

use super::{
    Pool, RoutedTarget, Slice, Snapshot,
    branches::{Branch, Branches},
    endpoint::Endpoints,
    services::{Role, Services},
};
use crate::count::Life;
use lapdev_api::{
    key::EnvironmentKey,
    route::{RoutedPort, RoutedService, RoutingTable},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// For so long a port is served after it left the table, since kube-proxy learns of a Service's change later than we do.
pub const LINGER: Duration = Duration::from_secs(60);

/// The state behind snapshots.
#[derive(Debug, Default)]
pub struct Index {
    services: Services,
    endpoints: Endpoints,
    known: HashMap<Arc<str>, Known>,
    /// The Service of each target id.
    service_of: Vec<Arc<str>>,
    /// The targets of each routed Service.
    living: HashMap<Arc<str>, Vec<Arc<RoutedTarget>>>,
    lingering: Vec<(Instant, Arc<RoutedTarget>)>,
    baseline_services: BTreeMap<Arc<str>, Arc<str>>,
    listed: bool,
    changed: bool,
    served_by: bool,
    hold: Duration,
    version: Option<Arc<str>>,
    token: Option<Arc<str>>,
    listeners: Arc<HashMap<u16, Arc<RoutedTarget>>>,
    baselines: Vec<Option<Arc<Pool>>>,
    branches: Branches,
    empty: Arc<Pool>,
}

/// The numbers of a routed Service and its ports: given once, so that pools and counters are found again. A process meets
/// few Services, thus none is forgotten.
#[derive(Debug)]
struct Known {
    slot: u32,
    ports: Vec<(Box<str>, u32)>,
}

impl Index {
    /// The snapshot of now, if it is another than at the last call.
    pub fn changed(&mut self) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot())
    }

    /// The `resourceVersion` of the table in force.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            served_by: self.served_by,
            hold: self.hold,
            resource_version: self.version.clone(),
            token: self.token.clone(),
            complete: self.listed && self.version.is_some(),
            listeners: self.listeners.clone(),
            baselines: self.baselines.clone(),
            branches: self.branches.clone(),
            empty: self.empty.clone(),
            stations: OnceLock::new(),
        }
    }

    /// Takes in a slice that is new or changed.
    pub fn put(&mut self, slice: Slice) {
        for service in self.services.put(slice) {
            self.refresh(&service);
        }
    }

    /// Forgets a slice.
    pub fn remove(&mut self, slice: &str) {
        if let Some(service) = self.services.remove(slice) {
            self.refresh(&service);
        }
    }

    /// What [`Self::put`] takes in from here on is every slice that there is.
    pub fn begin_listing(&mut self) {
        self.services.begin_listing();
    }

    /// That was every slice: others are gone.
    pub fn end_listing(&mut self) {
        for service in self.services.end_listing() {
            self.refresh(&service);
        }
        self.changed |= !self.listed;
        self.listed = true;
    }

    /// Puts a table in force that [`super::read`] let pass. `version` is its ConfigMap's `resourceVersion`.
    pub fn set_table(&mut self, version: &str, table: &RoutingTable, now: Instant) {
        self.changed = true;
        (self.served_by, self.version) = (table.served_by, Some(version.into()));
        self.hold = Duration::from_secs(u64::from(table.hold_seconds));
        self.set_targets(table, now);
        let gone = self.branches.iter().filter(|branch| !table.branches.contains_key(&branch.life.key));
        for branch in gone.cloned().collect::<Vec<_>>() {
            self.clear_roles(&branch, &[]);
            self.branches.remove(branch.life.key.as_str());
        }
        let mut ids = Vec::new();
        for (key, services) in &table.branches {
            self.ids(services, &mut ids);
            if !self.branches.get(key.as_str()).is_some_and(|of| of.pools.iter().map(|(id, _)| id).eq(&ids)) {
                self.open(key, services);
            }
        }
    }

    /// The digest of the token by which the agent is known; none: it is not known by any.
    pub fn set_token(&mut self, digest: Option<&str>) {
        if self.token.as_deref() != digest {
            self.token = digest.map(Into::into);
            self.changed = true;
        }
    }

    /// Ports whose time after they left the table is over are no longer listened on.
    pub fn expire(&mut self, now: Instant) {
        let before = self.lingering.len();
        self.lingering.retain(|(until, _)| *until > now);
        if self.lingering.len() < before {
            self.changed = true;
            self.listen();
        }
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.lingering.iter().map(|(until, _)| *until).min()
    }

    fn set_targets(&mut self, table: &RoutingTable, now: Instant) {
        let mut living: HashMap<Arc<str>, Vec<Arc<RoutedTarget>>> = HashMap::new();
        for (service, routed) in &table.services {
            let targets: Vec<_> = routed.ports.iter().map(|port| self.target(service, routed, port)).collect();
            if let Some(target) = targets.first() {
                living.insert(target.service.clone(), targets);
            }
        }
        let old = std::mem::replace(&mut self.living, living);
        let ports: BTreeSet<u16> = self.living.values().flatten().map(|target| target.port.listen).collect();
        self.lingering.extend(old.into_values().flatten().map(|target| (now + LINGER, target)));
        self.lingering.retain(|(_, target)| !ports.contains(&target.port.listen));
        self.listen();
    }

    /// The target of a port: the one that is there already if nothing of it changed.
    fn target(&mut self, service: &str, routed: &RoutedService, port: &RoutedPort) -> Arc<RoutedTarget> {
        let (service, slot, id) = self.numbers(service, &port.name);
        let target = RoutedTarget {
            id,
            slot,
            service,
            port: port.clone(),
            baseline: routed.baseline.as_str().into(),
            affinity: routed.affinity_seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
        };
        let there = self.listeners.get(&port.listen).filter(|there| ***there == target).cloned();
        there.unwrap_or_else(|| Arc::new(target))
    }

    fn numbers(&mut self, service: &str, port: &str) -> (Arc<str>, u32, u32) {
        let slot = u32::try_from(self.known.len()).expect("a namespace has fewer Services");
        let name = self.known.get_key_value(service).map_or_else(|| service.into(), |(name, _)| name.clone());
        let known = self.known.entry(name.clone()).or_insert_with(|| Known { slot, ports: Vec::new() });
        if let Some((_, id)) = known.ports.iter().find(|(of, _)| **of == *port) {
            return (name, known.slot, *id);
        }
        let id = u32::try_from(self.service_of.len()).expect("a namespace has fewer ports");
        known.ports.push((port.into(), id));
        self.service_of.push(name.clone());
        self.baselines.push(None);
        (name, known.slot, id)
    }

    /// What follows from [`Self::living`] and [`Self::lingering`]: the listeners, and the baselines with their endpoints.
    fn listen(&mut self) {
        let lingering = self.lingering.iter().map(|(_, target)| target);
        let all: Vec<_> = lingering.chain(self.living.values().flatten()).cloned().collect();
        self.listeners = Arc::new(all.iter().map(|target| (target.port.listen, target.clone())).collect());
        let services = all.iter().map(|target| (target.baseline.clone(), target.service.clone())).collect();
        let old = std::mem::replace(&mut self.baseline_services, services);
        for gone in old.keys().filter(|baseline| !self.baseline_services.contains_key(*baseline)) {
            self.services.clear_role(gone);
        }
        for (baseline, service) in &self.baseline_services {
            self.services.set_role(baseline, Role::Baseline(service.clone()));
        }
        let ids: BTreeSet<u32> = all.iter().map(|target| target.id).collect();
        for (id, pool) in (0..).zip(&mut self.baselines) {
            *pool = pool.take().filter(|_| ids.contains(&id));
        }
        all.iter().for_each(|target| self.refresh_baseline(target));
    }

    /// The targets of these Services, ascending, into a buffer: most branches of a new table are those of the last one, and
    /// shall cost no allocation.
    fn ids(&self, services: &BTreeSet<String>, ids: &mut Vec<u32>) {
        ids.clear();
        ids.extend(services.iter().filter_map(|of| self.living.get(of.as_str())).flatten().map(|target| target.id));
        ids.sort_unstable();
        ids.dedup();
    }

    /// A branch that is new, or runs other Services than before.
    fn open(&mut self, key: &EnvironmentKey, services: &BTreeSet<String>) {
        let living = services.iter().filter_map(|service| self.living.get(service.as_str()));
        let mut targets: Vec<Arc<RoutedTarget>> = living.flatten().cloned().collect();
        targets.sort_unstable_by_key(|target| target.id);
        targets.dedup_by_key(|target| target.id);
        let old = self.branches.get(key.as_str()).cloned();
        if let Some(old) = &old {
            self.clear_roles(old, &targets);
        }
        let life = old.as_ref().map_or_else(|| Arc::new(Life::new(key.clone())), |old| old.life.clone());
        let mut pools = Vec::with_capacity(targets.len());
        for target in targets {
            let service = RoutedService::of_branch(&target.service, key);
            self.services.set_role(&service, Role::Branch(target.service.clone(), life.clone()));
            let before = old.as_ref().and_then(|old| old.pool(target.id));
            pools.push((target.id, self.pool(&service, &target, before)));
        }
        self.branches.insert(Arc::new(Branch { life, pools: pools.into() }));
    }

    /// The branch's Services mean nothing any more, but for those of `kept`.
    fn clear_roles(&mut self, branch: &Branch, kept: &[Arc<RoutedTarget>]) {
        for (id, _) in &branch.pools {
            let Some(service) = self.service_of.get(*id as usize) else { continue };
            if kept.iter().all(|target| target.service != *service) {
                self.services.clear_role(&RoutedService::of_branch(service, &branch.life.key));
            }
        }
    }

    /// A Service's slices changed.
    fn refresh(&mut self, service: &str) {
        match self.services.role(service).cloned() {
            None => {}
            Some(Role::Baseline(of)) => {
                let lingering = self.lingering.iter().map(|(_, target)| target).filter(|target| target.service == of);
                let targets: Vec<_> = lingering.chain(self.living.get(&of).into_iter().flatten()).cloned().collect();
                targets.iter().for_each(|target| self.refresh_baseline(target));
            }
            Some(Role::Branch(of, life)) => self.refresh_branch(service, &of, &life),
        }
    }

    /// A Service that is gone leaves its last endpoints: it was just put back, and the router's port is still called.
    fn refresh_baseline(&mut self, target: &Arc<RoutedTarget>) {
        let before = self.baselines.get(target.id as usize).and_then(Clone::clone);
        if before.is_some() && !self.services.exists(&target.baseline) {
            return;
        }
        let pool = self.pool(&target.baseline, target, before.as_ref());
        self.changed |= before.is_none_or(|before| !Arc::ptr_eq(&before, &pool));
        self.baselines[target.id as usize] = Some(pool);
    }

    fn refresh_branch(&mut self, service: &str, of: &Arc<str>, life: &Arc<Life>) {
        let Some(branch) = self.branches.get(life.key.as_str()).cloned() else { return };
        let mut pools = branch.pools.clone();
        for target in self.living.get(of).cloned().unwrap_or_default() {
            if let Some((_, pool)) = pools.iter_mut().find(|(id, _)| *id == target.id) {
                *pool = self.pool(service, &target, Some(&*pool));
            }
        }
        if pools.iter().zip(&branch.pools).any(|((_, new), (_, old))| !Arc::ptr_eq(new, old)) {
            self.changed = true;
            self.branches.insert(Arc::new(Branch { life: life.clone(), pools }));
        }
    }

    /// A Service port's endpoints of now: the pool that is there already if they are the same.
    fn pool(&mut self, service: &str, target: &RoutedTarget, before: Option<&Arc<Pool>>) -> Arc<Pool> {
        let addresses = self.services.usable(service, target);
        let same = |pool: &&Arc<Pool>| pool.endpoints.iter().map(|endpoint| &endpoint.address).eq(&addresses);
        if let Some(before) = before.filter(same) {
            return before.clone();
        }
        if addresses.is_empty() { self.empty.clone() } else { Arc::new(self.endpoints.pool(&addresses)) }
    }
}
