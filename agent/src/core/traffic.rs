//! Asks the routers for their counters, and has each branch's status carry what they add up to; and whether they follow
//! the table. Statuses that change for traffic alone go out at most every [`AT_MOST`].

use super::{Core, routers::tables};
use crate::{
    routes::{
        admin::{self, AdminError, Router},
        traffic::Tally,
    },
    tunnel::up_to,
};
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use lapdev_api::{
    key::EnvironmentKey,
    name::{Namespace, Uid},
    route::{self, Counters, TableInForce, Traffic},
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

/// Namespaces whose routers are asked at the same time: some may be silent, and each of these takes two seconds.
const AT_ONCE: usize = 16;

/// What is asked about one namespace.
#[derive(Default)]
struct Place {
    base: Option<Uid>,
    branches: BTreeMap<Uid, EnvironmentKey>,
    /// The table's, before anybody was asked.
    version: String,
}

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

/// What the routers of one namespace said.
struct Looked {
    tables: Vec<(String, Result<TableInForce, AdminError>)>,
    counters: Vec<Counters>,
}

impl Core {
    /// Asks the routers for their counters, and whether they follow the table, until told to stop.
    pub(super) async fn ask_routers(&self, stop: &CancellationToken) {
        let mut tallies: HashMap<Namespace, Tally> = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND * 3 / 4 + up_to(ROUND / 2)) => {}
                () = stop.cancelled() => return,
            }
            let counted = tokio::select! {
                counted = self.ask_once(&mut tallies) => counted,
                () = stop.cancelled() => return,
            };
            self.traffic.retain(&counted);
        }
    }

    /// One round over every namespace that has a table. Returns the branches.
    async fn ask_once(&self, tallies: &mut HashMap<Namespace, Tally>) -> BTreeSet<Uid> {
        let places = self.branches_by_namespace();
        tallies.retain(|namespace, _| places.contains_key(namespace));
        self.behind.retain(|namespace| places.contains_key(namespace));
        let look = async |(namespace, place): (&'_ Namespace, &'_ Place)| {
            (namespace.clone(), self.look(namespace, !place.branches.is_empty()).await)
        };
        let looks: Vec<_> = places.iter().map(look).collect();
        let looks: Vec<_> = at_once(looks).collect().await;
        for (namespace, looked) in looks {
            let Some(place) = places.get(&namespace) else { continue };
            let said = looked.tables.iter().map(|(pod, said)| (pod.as_str(), said));
            if self.behind.take(&namespace, &place.version, said, Timestamp::now()) {
                place.base.iter().for_each(|base| self.queue.add(base));
            }
            let tally = tallies.entry(namespace).or_default();
            let living = place.branches.iter().map(|(uid, key)| (key.clone(), uid.clone()));
            tally.add(looked.counters, &living.collect());
            for (uid, key) in &place.branches {
                self.publish_traffic(uid, tally.of(key));
            }
        }
        places.into_values().flat_map(|place| place.branches.into_keys()).collect()
    }

    /// Asks the ready routers of a namespace, all at the same time.
    async fn look(&self, namespace: &Namespace, counters: bool) -> Looked {
        let routers = self.ready_routers(namespace);
        let counted: &[Router] = if counters { &routers } else { &[] };
        let (tables, counters) = tokio::join!(
            tables(&routers),
            admin::all(counted, |router| admin::get::<Counters>(router, route::admin::COUNTERS))
        );
        let counters = counters.into_iter().filter_map(|answer| {
            answer.inspect_err(|error| tracing::debug!(%namespace, error = error_chain(error), "not counted")).ok()
        });
        let pods = routers.iter().map(|router| router.pod.clone());
        Looked { counters: counters.collect(), tables: pods.zip(tables).collect() }
    }

    fn branches_by_namespace(&self) -> BTreeMap<Namespace, Place> {
        let mut places: BTreeMap<Namespace, Place> = BTreeMap::new();
        for (uid, held) in self.registry().iter().filter(|(_, held)| held.end.is_none()) {
            let place = places.entry(held.namespace.clone()).or_default();
            match &held.identity.branch {
                Some(branch) => drop(place.branches.insert(uid.clone(), branch.key.clone())),
                None => place.base = Some(uid.clone()),
            }
        }
        places.retain(|namespace, place| {
            let version = self.table_version(namespace);
            place.version = version.clone().unwrap_or_default();
            version.is_some()
        });
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

/// Has so many of them go on at the same time, and gives each as it ends.
fn at_once<F: Future>(looks: Vec<F>) -> impl Stream<Item = F::Output> {
    stream::iter(looks).buffer_unordered(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hundred_silent_namespaces_hold_a_round_up_for_seconds_and_not_for_minutes() {
        let begun = tokio::time::Instant::now();
        // Lazily: the time of each begins when it is asked.
        let silent = (0..100).map(|_| async { tokio::time::sleep(Duration::from_secs(2)).await }).collect();
        assert_eq!(at_once(silent).count().await, 100);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }

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
