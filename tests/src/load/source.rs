//! Hands out requests to the connections of a run, in turn of their kinds, until there are no more; and when each is due.

use super::plan::{Amount, Plan};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// What is left to do of a run; shared by the connections of one thread.
#[derive(Debug)]
pub(super) struct Source {
    left: Cell<u64>,
    until: Option<Instant>,
    turn: Cell<usize>,
    kinds: usize,
    /// Answers to what was begun earlier are not measured.
    pub(super) counted_from: Instant,
}

impl Source {
    pub(super) fn new(plan: &Plan, begun: Instant) -> Self {
        let (left, until) = match plan.amount {
            Amount::Requests(count) => (count, None),
            Amount::For(time) => (u64::MAX, Some(begun + time)),
        };
        let counted_from = begun + plan.warm_up;
        Self { left: Cell::new(left), until, turn: Cell::new(0), kinds: plan.asks.len(), counted_from }
    }

    /// Whether there are no more.
    pub(super) fn is_done(&self) -> bool {
        self.left.get() == 0 || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The next request's kind, by its place in the plan.
    pub(super) fn next(&self) -> Option<usize> {
        if self.is_done() {
            return None;
        }
        self.left.set(self.left.get() - 1);
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.kinds);
        Some(turn)
    }
}

/// When the requests of one connection are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    every: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// Of the connection with this number; they are spread evenly over an interval.
    pub(super) fn new(plan: &Plan, number: usize, begun: Instant) -> Self {
        let every = plan.rate.map(|rate| Duration::from_secs_f64(plan.connections as f64 / rate));
        let share = number as f64 / plan.connections as f64;
        Self { every, next: begun + every.unwrap_or_default().mul_f64(share) }
    }

    /// When the next request may be sent; none: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.every.map(|_| self.next)
    }

    /// Notes that the due request is sent now, and returns when its latency begins to count: when it was due, if what is
    /// asked was not done with earlier requests by then (else a slow answer would hide those that wait behind it); now, if
    /// only the client's own timer was late.
    pub(super) fn sent(&mut self, was_free: bool) -> Instant {
        let now = Instant::now();
        let Some(every) = self.every else { return now };
        let due = self.next;
        self.next += every;
        if was_free { now } else { due.min(now) }
    }
}
