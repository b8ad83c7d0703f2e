//! How many requests carried which key, summed over the routers of a namespace and over their restarts. Pure.

use lapdev_api::{
    key::EnvironmentKey,
    name::Uid,
    route::{CounterRow, Counters, Traffic},
};
use std::collections::{BTreeMap, HashMap};

/// Router processes whose last counts are remembered; more at once would be a namespace in trouble.
const PROCESSES: usize = 64;

/// The requests of one namespace since this agent began to count.
#[derive(Debug, Default)]
pub struct Tally {
    /// Of each living key: whose it is, and what was counted for that life.
    totals: BTreeMap<EnvironmentKey, (Uid, Totals)>,
    /// What each process said last, and in which round.
    last: HashMap<String, (u64, HashMap<Row, Count>)>,
    round: u64,
}

type Row = (EnvironmentKey, String, bool);
/// By Service, and whether the branch's own pods answered.
type Totals = BTreeMap<(String, bool), Count>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    requests: u64,
    errors: u64,
}

impl Tally {
    /// Adds what routers said in one round; what a process said before counts once. Keys that live no longer are forgotten.
    pub fn add(&mut self, round: Vec<Counters>, living: &BTreeMap<EnvironmentKey, Uid>) {
        self.round += 1;
        self.begin(living);
        for Counters { process, rows } in round {
            let (_, last) = self.last.remove(&process).unwrap_or_default();
            let rows = rows.into_iter().map(|CounterRow { key, traffic }| {
                let Traffic { service, branch, requests, errors } = traffic;
                ((key, service, branch), Count { requests, errors })
            });
            let now: HashMap<Row, Count> = rows.collect();
            for ((key, service, branch), count) in &now {
                let Some((_, totals)) = self.totals.get_mut(key) else { continue };
                let before = last.get(&(key.clone(), service.clone(), *branch)).copied().unwrap_or_default();
                let total = totals.entry((service.clone(), *branch)).or_default();
                total.requests = total.requests.saturating_add(grown(count.requests, before.requests));
                total.errors = total.errors.saturating_add(grown(count.errors, before.errors));
            }
            self.last.insert(process, (self.round, now));
        }
        while self.last.len() > PROCESSES {
            let oldest = self.last.iter().min_by_key(|(_, (round, _))| *round).map(|(process, _)| process.clone());
            self.last.remove(&oldest.unwrap_or_default());
        }
    }

    /// Forgets the keys that live no longer, and begins with those that are new. A key that was closed and opened again
    /// between two rounds is new: it is another life's, and routers count it from nothing.
    fn begin(&mut self, living: &BTreeMap<EnvironmentKey, Uid>) {
        self.totals.retain(|key, (uid, _)| living.get(key) == Some(uid));
        for (key, uid) in living {
            if !self.totals.contains_key(key) {
                self.last.values_mut().for_each(|(_, last)| last.retain(|(of, ..), _| of != key));
                self.totals.insert(key.clone(), (uid.clone(), BTreeMap::new()));
            }
        }
    }

    /// The requests with one key, by service and version.
    #[must_use]
    pub fn of(&self, key: &EnvironmentKey) -> Vec<Traffic> {
        let rows = self.totals.get(key).into_iter().flat_map(|(_, rows)| rows).filter(|(_, count)| count.requests > 0);
        let rows = rows.map(|((service, branch), Count { requests, errors })| Traffic {
            service: service.clone(),
            branch: *branch,
            requests: *requests,
            errors: *errors,
        });
        rows.collect()
    }
}

/// A key that was closed and opened again counts from nothing in the same process.
fn grown(now: u64, before: u64) -> u64 {
    if now >= before { now - before } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> EnvironmentKey {
        text.parse().expect("legal")
    }

    fn said(process: &str, rows: &[(&str, &str, u64, u64)]) -> Counters {
        let rows = rows.iter().map(|(of, service, requests, errors)| CounterRow {
            key: key(of),
            traffic: Traffic { service: (*service).into(), branch: true, requests: *requests, errors: *errors },
        });
        Counters { process: process.into(), rows: rows.collect() }
    }

    /// The life whose uid is made of `letter` has the key.
    fn living(letter: char) -> BTreeMap<EnvironmentKey, Uid> {
        BTreeMap::from([(key("x-abc234"), letter.to_string().repeat(16).parse().expect("legal"))])
    }

    fn total(tally: &Tally, of: &str) -> Vec<(String, u64, u64)> {
        tally.of(&key(of)).into_iter().map(|row| (row.service, row.requests, row.errors)).collect()
    }

    #[test]
    fn counts_of_all_routers_add_up_over_their_restarts() {
        let living = living('a');
        let mut tally = Tally::default();
        tally.add(vec![said("a", &[("x-abc234", "web", 5, 1)]), said("b", &[("x-abc234", "web", 2, 0)])], &living);
        assert_eq!(total(&tally, "x-abc234"), [("web".into(), 7, 1)]);
        tally.add(vec![said("a", &[("x-abc234", "web", 6, 1), ("x-abc234", "cart", 1, 0)])], &living);
        assert_eq!(total(&tally, "x-abc234"), [("cart".into(), 1, 0), ("web".into(), 8, 1)]);
        // One restarted; the other was not heard for a round.
        tally.add(vec![said("c", &[("x-abc234", "web", 1, 1)]), said("b", &[("x-abc234", "web", 3, 0)])], &living);
        assert_eq!(total(&tally, "x-abc234"), [("cart".into(), 1, 0), ("web".into(), 10, 2)]);
    }

    #[test]
    fn a_closed_key_is_forgotten_and_an_unknown_one_never_counted() {
        let mut tally = Tally::default();
        tally.add(vec![said("a", &[("x-abc234", "web", 5, 1)])], &living('a'));
        tally.add(vec![said("a", &[("x-abc234", "web", 6, 1)])], &BTreeMap::new());
        assert!(tally.totals.is_empty());
        tally.add(vec![said("a", &[("x-abc234", "web", 2, 0)])], &living('a'));
        assert_eq!(total(&tally, "x-abc234"), [("web".into(), 2, 0)], "opened again");
    }

    #[test]
    fn a_key_that_was_opened_again_between_two_rounds_counts_from_nothing() {
        let mut tally = Tally::default();
        tally.add(vec![said("a", &[("x-abc234", "web", 5, 1)])], &living('a'));
        tally.add(vec![said("a", &[("x-abc234", "web", 7, 0)])], &living('b'));
        assert_eq!(total(&tally, "x-abc234"), [("web".into(), 7, 0)], "more than before, and yet all of it is new");
    }

    #[test]
    fn processes_are_remembered_within_bounds() {
        let mut tally = Tally::default();
        for number in 0..500 {
            tally.add(vec![said(&number.to_string(), &[])], &BTreeMap::new());
        }
        assert_eq!(tally.last.len(), PROCESSES);
        assert!(tally.last.contains_key("499") && !tally.last.contains_key("0"));
    }
}
