//! Counts what one connection saw. Merged into an [`Outcome`](super::Outcome) at the end.

use super::{ask::Ask, histogram::Histogram};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// An answer, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Of gRPC.
    pub(super) grpc_status: Option<u16>,
    /// The version that gave it; empty when it does not say.
    pub(super) version: Vec<u8>,
}

/// How many of one kind of request were answered alike.
#[derive(Debug, Clone)]
struct Count {
    kind: usize,
    answer: Answer,
    requests: u64,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) latencies: Histogram,
    /// All requests that ended, measured or not, failed or not.
    pub(super) total: u64,
    /// Answers that were measured.
    pub(super) measured: u64,
    pub(super) retried: u64,
    pub(super) errors: BTreeMap<String, u64>,
    answers: Vec<Count>,
}

impl Tally {
    /// An answer to a request that began then; measured if its latency is given.
    pub(super) fn answered(&mut self, kind: usize, answer: &Answer, latency: Option<Duration>) {
        self.total += 1;
        if let Some(latency) = latency {
            self.measured += 1;
            self.latencies.note(latency);
        }
        match self.answers.iter_mut().find(|count| count.kind == kind && count.answer == *answer) {
            Some(count) => count.requests += 1,
            None => self.answers.push(Count { kind, answer: answer.clone(), requests: 1 }),
        }
    }

    /// A request that got no whole answer.
    pub(super) fn failed(&mut self, why: &str) {
        self.total += 1;
        *self.errors.entry(why.to_owned()).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.total += other.total;
        self.measured += other.measured;
        self.retried += other.retried;
        for (why, count) in other.errors {
            *self.errors.entry(why).or_default() += count;
        }
        for new in other.answers {
            match self.answers.iter_mut().find(|count| count.kind == new.kind && count.answer == new.answer) {
                Some(count) => count.requests += new.requests,
                None => self.answers.push(new),
            }
        }
    }

    /// Each kind of request with each answer it got, as text: `KEY -> STATUS VERSION`.
    pub(super) fn answers(&self, asks: &[Ask]) -> BTreeMap<String, u64> {
        let text = |count: &Count| {
            let version = String::from_utf8_lossy(&count.answer.version);
            let grpc = count.answer.grpc_status.map(|code| format!("/{code}")).unwrap_or_default();
            format!("{} -> {}{grpc} {version}", asks[count.kind], count.answer.status)
        };
        self.answers.iter().map(|count| (text(count), count.requests)).collect()
    }

    /// Answers that were not a success of the expected version.
    pub(super) fn wrong(&self, asks: &[Ask]) -> u64 {
        let right = |count: &&Count| {
            let expected = asks[count.kind].expect.as_ref();
            let version = expected.is_none_or(|version| version.as_bytes() == count.answer.version);
            version && (200..300).contains(&count.answer.status) && count.answer.grpc_status.unwrap_or(0) == 0
        };
        self.answers.iter().filter(|count| !right(count)).map(|count| count.requests).sum()
    }
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) kind: usize,
    pub(super) at: Instant,
}

impl Begun {
    /// Its latency now, if it is to be measured.
    pub(super) fn latency(&self, counted_from: Instant) -> Option<Duration> {
        (self.at >= counted_from).then(|| self.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_wrong_by_version_by_status_and_by_grpc_status() {
        let asks = ["-=baseline".parse().expect("legal")];
        let mut tally = Tally::default();
        let good = Answer { status: 200, grpc_status: Some(0), version: b"baseline".to_vec() };
        tally.answered(0, &good, None);
        assert_eq!(tally.wrong(&asks), 0);
        tally.answered(0, &Answer { status: 503, ..good.clone() }, None);
        tally.answered(0, &Answer { grpc_status: Some(14), ..good.clone() }, None);
        tally.answered(0, &Answer { version: b"x".to_vec(), ..good }, None);
        assert_eq!((tally.wrong(&asks), tally.total), (3, 4));
    }
}
