//! Asks the routers for their counters, and has each branch's status carry what they add up to. Statuses that change for
//! nothing else go out at most every [`AT_MOST`].

use super::Core;
use crate::{
    routes::{admin, traffic::Tally},
    tunnel::up_to,
};
use lapdev_api::{
    key::EnvironmentKey,
    name::{Namespace, Uid},
    route::{self, Counters, Traffic},
    words::error_chain,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often routers are asked, on the average: agents of many clusters, and many agents of one test, do not ask in step.
const ROUND: Duration = Duration::from_secs(10);
/// How often the status of one environment changes because of traffic alone.
const AT_MOST: Duration = Duration::from_secs(30);

/// What was said of each branch's traffic.
#[derive(Default)]
pub(super) struct Published(Mutex<HashMap<Uid, (Instant, Vec<Traffic>)>>);

impl Published {
    /// What the environment's status says.
    pub(super) fn of(&self, uid: &Uid) -> Vec<Traffic> {
        self.lock().get(uid).map(|(_, traffic)| traffic.clone()).unwrap_or_default()
    }

    /// Takes what is new; false when it is not, or when the environment's last is too recent.
    fn take(&self, uid: &Uid, traffic: Vec<Traffic>, now: Instant) -> bool {
        let mut all = self.lock();
        let before = all.get(uid);
        let same = before.map_or(traffic.is_empty(), |(_, before)| *before == traffic);
        if same || before.is_some_and(|(at, _)| now.duration_since(*at) < AT_MOST) {
            return false;
        }
        all.insert(uid.clone(), (now, traffic));
        true
    }

    fn retain(&self, living: &BTreeSet<Uid>) {
        self.lock().retain(|uid, _| living.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, (Instant, Vec<Traffic>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Counts until told to stop.
    pub(super) async fn count_traffic(&self, stop: &CancellationToken) {
        let mut tallies: HashMap<Namespace, Tally> = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND * 3 / 4 + up_to(ROUND / 2)) => {}
                () = stop.cancelled() => return,
            }
            let counted = tokio::select! {
                counted = self.count_once(&mut tallies) => counted,
                () = stop.cancelled() => return,
            };
            self.traffic.retain(&counted);
        }
    }

    /// One round over every namespace that has a living branch. Returns the branches.
    async fn count_once(&self, tallies: &mut HashMap<Namespace, Tally>) -> BTreeSet<Uid> {
        let places = self.branches_by_namespace();
        tallies.retain(|namespace, _| places.contains_key(namespace));
        for (namespace, branches) in &places {
            let routers = self.ready_routers(namespace);
            let answers = admin::all(&routers, |router| admin::get::<Counters>(router, route::admin::COUNTERS)).await;
            let said = answers.into_iter().filter_map(|answer| {
                answer.inspect_err(|error| tracing::debug!(%namespace, error = error_chain(error), "not counted")).ok()
            });
            let tally = tallies.entry(namespace.clone()).or_default();
            let living = branches.iter().map(|(uid, key)| (key.clone(), uid.clone()));
            tally.add(said.collect(), &living.collect());
            for (uid, key) in branches {
                self.publish_traffic(uid, tally.of(key));
            }
        }
        places.into_values().flat_map(BTreeMap::into_keys).collect()
    }

    fn branches_by_namespace(&self) -> BTreeMap<Namespace, BTreeMap<Uid, EnvironmentKey>> {
        let mut places: BTreeMap<Namespace, BTreeMap<Uid, EnvironmentKey>> = BTreeMap::new();
        for (uid, held) in self.registry().iter().filter(|(_, held)| held.end.is_none()) {
            if let Some(branch) = &held.identity.branch {
                places.entry(held.namespace.clone()).or_default().insert(uid.clone(), branch.key.clone());
            }
        }
        places.retain(|namespace, _| self.table_version(namespace).is_some());
        places
    }

    /// Changes the traffic of what was last said of an environment, and nothing else of it.
    fn publish_traffic(&self, uid: &Uid, traffic: Vec<Traffic>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = said.get_mut(uid)
            && self.traffic.take(uid, traffic, Instant::now())
        {
            status.traffic = self.traffic.of(uid);
            self.outbox.status(status.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_changes_for_traffic_alone_at_most_every_half_a_minute() {
        let uid: Uid = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        let row = |requests| vec![Traffic { service: "web".into(), branch: true, requests, errors: 0 }];
        let (published, now) = (Published::default(), Instant::now());
        assert!(!published.take(&uid, vec![], now), "nothing is nothing new");
        assert!(published.take(&uid, row(1), now));
        assert!(!published.take(&uid, row(2), now + Duration::from_secs(29)));
        assert_eq!(published.of(&uid), row(1));
        assert!(!published.take(&uid, row(1), now + AT_MOST));
        assert!(published.take(&uid, row(2), now + AT_MOST));
        published.retain(&BTreeSet::new());
        assert!(published.of(&uid).is_empty());
    }
}
