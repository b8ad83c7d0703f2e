//! Which routers stay behind the routing table, since when, and what is said of it: they go by what they read last, and
//! nobody else would tell. Asks nobody; `traffic` beside it does.

use crate::routes::admin::AdminError;
use jiff::Timestamp;
use lapdev_api::{name::Namespace, route::TableInForce, words::error_chain};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A router that follows later than this does not follow: one that is well takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ready routers that do not say that they follow, by namespace and pod.
#[derive(Default)]
pub(super) struct Behind(Mutex<HashMap<Namespace, BTreeMap<String, Straggler>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Straggler {
    since: Timestamp,
    /// Why it did not answer; none when it answered with an older table.
    silent: Option<String>,
    told: bool,
}

/// What one router said when it was asked for its table.
pub(super) type Said<'a> = (&'a str, &'a Result<TableInForce, AdminError>);

impl Behind {
    /// Takes what the ready routers of a namespace say, given the version of the table that stood before they were asked.
    /// True: [`Self::notices`] says something else from now on.
    pub(super) fn take<'a>(
        &self,
        namespace: &Namespace,
        version: &str,
        said: impl Iterator<Item = Said<'a>>,
        now: Timestamp,
    ) -> bool {
        let mut all = self.lock();
        let before = all.remove(namespace).unwrap_or_default();
        let late = said.filter(|(_, said)| !said.as_ref().is_ok_and(|table| follows(table, version)));
        let now = late.map(|(pod, said)| {
            let since = before.get(pod).map_or(now, |before| before.since);
            let told = is_over(since, now);
            (pod.to_owned(), Straggler { since, silent: said.as_ref().err().map(|error| error_chain(error)), told })
        });
        let now: BTreeMap<_, _> = now.collect();
        let changed = notices(namespace, &before) != notices(namespace, &now);
        if !now.is_empty() {
            all.insert(namespace.clone(), now);
        }
        changed
    }

    /// What to say of a base in this namespace.
    pub(super) fn notices(&self, namespace: &Namespace) -> Vec<String> {
        self.lock().get(namespace).map(|all| notices(namespace, all)).unwrap_or_default()
    }

    /// Forgets the other namespaces.
    pub(super) fn retain(&self, living: impl Fn(&Namespace) -> bool) {
        self.lock().retain(|namespace, _| living(namespace));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Namespace, BTreeMap<String, Straggler>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(since: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|late| late >= PATIENCE)
}

fn notices(namespace: &Namespace, all: &BTreeMap<String, Straggler>) -> Vec<String> {
    let told = all.iter().filter(|(_, straggler)| straggler.told);
    told.map(|(pod, Straggler { since, silent, .. })| match silent {
        None => format!(
            "RoutingBehind: router {pod} does not take the routing table over since {since:.0}: by it, branches that opened or \
             closed later are not routed as they should be. Its log says why: kubectl logs -n {namespace} {pod}"
        ),
        Some(why) => format!(
            "RoutingBehind: whether router {pod} follows the routing table is not known since {since:.0}: {why}. Until then \
             each branch that closes waits for it in vain, and its requests are not counted"
        ),
    })
    .collect()
}

/// Resource versions of one kind are ordered.
pub(super) fn follows(table: &TableInForce, version: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    match table.resource_version.as_deref() {
        Some(in_force) if in_force == version => true,
        Some(in_force) => number(in_force).zip(number(version)).is_some_and(|(in_force, wanted)| in_force > wanted),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn table(version: &str) -> Result<TableInForce, AdminError> {
        Ok(TableInForce { resource_version: Some(version.to_owned()), listening: BTreeSet::new() })
    }

    #[test]
    fn a_router_follows_with_that_table_or_a_newer_one() {
        let follows = |in_force: Option<&str>| {
            follows(&TableInForce { resource_version: in_force.map(Into::into), listening: BTreeSet::new() }, "10")
        };
        assert!(follows(Some("10")) && follows(Some("11")) && !follows(Some("9")) && !follows(None));
    }

    #[test]
    fn a_router_that_stays_behind_for_half_a_minute_is_named_until_it_follows_or_goes() {
        let (behind, namespace) = (Behind::default(), "shop".parse().expect("legal"));
        let take = |version: &str, a: &Result<TableInForce, AdminError>, second: i64| {
            behind.take(&namespace, version, [("a", a), ("b", &table("99"))].into_iter(), at(second))
        };
        assert!(!take("10", &table("9"), 0) && !take("11", &table("9"), 20));
        assert!(behind.notices(&namespace).is_empty(), "it may be about to follow");
        assert!(take("11", &table("9"), 30));
        let [notice] = &behind.notices(&namespace)[..] else { panic!("one is behind") };
        assert!(
            notice.starts_with("RoutingBehind: router a does not take the routing table over since 1970"),
            "{notice}"
        );
        assert!(notice.contains("kubectl logs -n shop a"), "{notice}");
        assert!(!take("12", &table("9"), 40), "nothing new to say");
        assert!(take("12", &table("12"), 50));
        assert!(behind.notices(&namespace).is_empty());
        assert!(!take("13", &table("12"), 60) && !take("13", &table("12"), 80), "counted anew");
        // One that does not answer.
        let silent = || Err(AdminError::Timeout { pod: "a".into() });
        assert!(take("13", &silent(), 90));
        assert!(behind.notices(&namespace)[0].contains("router a did not answer on port 9990"));
        assert!(behind.take(&namespace, "13", [("b", &table("13"))].into_iter(), at(100)), "its pod went");
        behind.retain(|_| false);
        assert!(behind.notices(&namespace).is_empty());
    }
}
