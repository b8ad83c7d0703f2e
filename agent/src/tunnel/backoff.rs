//! How long to wait before the next attempt: exponential, and random, so that a thousand agents do not knock at once.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The pauses of one series of failures.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next pause: between half of the step and the whole.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        step / 2 + up_to(step / 2)
    }

    /// The longest pause, for refusals that only a person can end.
    pub(super) fn longest(&mut self) -> Duration {
        self.next = LONGEST;
        self.pause()
    }
}

/// A random time up to this one.
pub(crate) fn up_to(most: Duration) -> Duration {
    // The standard library's hash keys are random; that is random enough to spread agents.
    let random = RandomState::new().hash_one(0) >> 11;
    #[allow(clippy::cast_precision_loss)]
    let share = random as f64 / (1_u64 << 53) as f64;
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_and_differ() {
        let mut backoff = Backoff::default();
        let mut step = FIRST;
        for _ in 0..12 {
            let pause = backoff.pause();
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        let samples: std::collections::BTreeSet<_> = (0..20).map(|_| up_to(Duration::from_secs(2))).collect();
        assert!(samples.len() > 15 && samples.iter().all(|s| *s <= Duration::from_secs(2)));
    }
}
