//! A level-triggered work queue: an environment is due or not; however often it is asked for, it is looked at once,
//! and never by two workers at the same time. Failures back off, with jitter by uid.

use lapdev_api::name::Uid;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(120);

/// What came of a look at an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As wanted, until something changes; or until then, should nothing change.
    Settled(Option<Duration>),
    /// Not as wanted, and only a person or a new revision can help: not before then, whatever is seen meanwhile.
    Blocked(Duration),
    /// Not as wanted, and trying again can help: with backoff.
    Retry,
}

/// Which environments are due, and when.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<Uid, Instant>,
    /// Being worked on; the value says when it was asked for again meanwhile.
    running: HashMap<Uid, Option<Instant>>,
    failures: HashMap<Uid, u32>,
    /// Asked for from outside since they were last looked at: what fails now was about something older.
    fresh: HashSet<Uid>,
}

impl Queue {
    /// Asks for a look at an environment now.
    pub fn add(&self, uid: &Uid) {
        self.add_at(uid, Instant::now());
    }

    /// Something changed from outside: a look now, whatever failed before.
    pub fn add_fresh(&self, uid: &Uid) {
        let mut state = self.lock();
        state.failures.remove(uid);
        state.fresh.insert(uid.clone());
        drop(state);
        self.add(uid);
    }

    /// Asks for a look not later than `at`.
    pub fn add_at(&self, uid: &Uid, at: Instant) {
        self.lock().ask(uid, at);
        self.changed.notify_one();
    }

    /// The next environment that is due; waits for one. It stays this worker's until [`Self::done`]. Safe to cancel.
    pub async fn next(&self) -> Uid {
        loop {
            let changed = self.changed.notified();
            let (next, more) = self.lock().take(Instant::now());
            match next {
                Ok(uid) => {
                    if more {
                        self.changed.notify_one();
                    }
                    return uid;
                }
                Err(Some(at)) => drop(tokio::time::timeout_at(at, changed).await),
                Err(None) => changed.await,
            }
        }
    }

    /// Gives an environment back.
    pub fn done(&self, uid: &Uid, outcome: Outcome) {
        self.lock().give_back(uid, outcome, Instant::now());
        self.changed.notify_one();
    }

    /// How many environments are due or being worked on.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let (state, now) = (self.lock(), Instant::now());
        state.running.len() + state.due.values().filter(|due| **due <= now).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self, uid: &Uid, at: Instant) {
        if let Some(again) = self.running.get_mut(uid) {
            *again = Some(again.map_or(at, |again| again.min(at)));
            return;
        }
        let due = self.due.entry(uid.clone()).or_insert(at);
        // Whoever fails is not hurried by what its own pods do.
        if !self.failures.contains_key(uid) {
            *due = (*due).min(at);
        }
    }

    /// The environment that is due for longest and whether more are due, or when the next one will be.
    fn take(&mut self, now: Instant) -> (Result<Uid, Option<Instant>>, bool) {
        let Some((uid, at)) = self.due.iter().min_by_key(|(_, at)| **at) else { return (Err(None), false) };
        if *at > now {
            return (Err(Some(*at)), false);
        }
        let uid = uid.clone();
        self.due.remove(&uid);
        self.fresh.remove(&uid);
        self.running.insert(uid.clone(), None);
        (Ok(uid), !self.due.is_empty())
    }

    fn give_back(&mut self, uid: &Uid, outcome: Outcome, now: Instant) {
        let again = self.running.remove(uid).flatten();
        if self.fresh.contains(uid) {
            self.failures.remove(uid);
            return self.ask(uid, now);
        }
        let later = match outcome {
            Outcome::Settled(later) => {
                self.failures.remove(uid);
                later.map(|later| now + later)
            }
            Outcome::Blocked(later) => {
                self.failures.insert(uid.clone(), 1);
                Some(now + later)
            }
            Outcome::Retry => {
                let failures = self.failures.entry(uid.clone()).or_default();
                *failures += 1;
                Some(now + backoff(uid, *failures))
            }
        };
        // What was asked for meanwhile counts at once, but a failure's backoff is not cut short by its own echo.
        let asked = if matches!(outcome, Outcome::Settled(_)) { again } else { again.and(later) };
        if let Some(at) = asked.into_iter().chain(later).min() {
            self.ask(uid, at);
        }
    }
}

/// Doubling from half a second to two minutes, up to a quarter longer for some uids so that they spread.
fn backoff(uid: &Uid, failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10)).min(LAST_RETRY);
    let spread = uid.as_str().bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 256;
    doubled + doubled * spread / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(letter: char) -> Uid {
        letter.to_string().repeat(16).parse().expect("legal")
    }

    #[test]
    fn an_environment_is_never_worked_on_twice_at_the_same_time() {
        let (mut state, now) = (State::default(), Instant::now());
        state.ask(&uid('a'), now);
        state.ask(&uid('a'), now);
        assert_eq!(state.take(now), (Ok(uid('a')), false));
        state.ask(&uid('a'), now);
        assert_eq!(state.take(now), (Err(None), false), "it is running");
        state.give_back(&uid('a'), Outcome::Settled(None), now);
        assert_eq!(state.take(now), (Ok(uid('a')), false), "asked for meanwhile");
        state.give_back(&uid('a'), Outcome::Settled(None), now);
        assert_eq!(state.take(now), (Err(None), false));
    }

    #[test]
    fn failures_back_off_and_success_forgets_them() {
        let (mut state, now) = (State::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..12 {
            state.ask(&uid('a'), now);
            state.due.insert(uid('a'), now);
            state.take(now).0.expect("due");
            state.ask(&uid('a'), now);
            state.give_back(&uid('a'), Outcome::Retry, now);
            let (next, _) = state.take(now);
            waits.push(next.expect_err("backs off").expect("is due later") - now);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!(waits[0] >= FIRST_RETRY && waits[11] >= LAST_RETRY && waits[11] <= LAST_RETRY * 5 / 4);
        state.due.insert(uid('a'), now);
        state.take(now).0.expect("due");
        state.give_back(&uid('a'), Outcome::Settled(Some(LAST_RETRY)), now);
        assert!(state.failures.is_empty());
        assert_eq!(state.take(now), (Err(Some(now + LAST_RETRY)), false));
    }

    #[test]
    fn what_is_blocked_is_not_hurried_but_what_comes_from_outside_counts_at_once() {
        let (mut state, now) = (State::default(), Instant::now());
        let minute = Duration::from_secs(60);
        state.ask(&uid('a'), now);
        state.take(now).0.expect("due");
        state.give_back(&uid('a'), Outcome::Blocked(minute), now);
        state.ask(&uid('a'), now);
        assert_eq!(state.take(now), (Err(Some(now + minute)), false), "its own events do not hurry it");
        assert!(state.take(now + minute).0.is_ok());
        state.fresh.insert(uid('a'));
        state.ask(&uid('a'), now);
        state.give_back(&uid('a'), Outcome::Blocked(minute), now);
        assert_eq!(state.take(now), (Ok(uid('a')), false), "a new revision came while the old one failed");
    }

    #[test]
    fn who_waits_for_longest_comes_first() {
        let (mut state, now) = (State::default(), Instant::now());
        state.ask(&uid('b'), now);
        state.ask(&uid('a'), now + Duration::from_millis(1));
        let later = now + Duration::from_secs(1);
        assert_eq!(state.take(later), (Ok(uid('b')), true));
        assert_eq!(state.take(later), (Ok(uid('a')), false));
    }

    #[tokio::test]
    async fn a_waiting_worker_is_woken() {
        let queue = std::sync::Arc::new(Queue::default());
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(&uid('a'));
        assert_eq!(worker.await.expect("no panic"), uid('a'));
        assert_eq!(queue.backlog(), 1);
        queue.done(&uid('a'), Outcome::Settled(None));
        assert_eq!(queue.backlog(), 0);
    }
}
