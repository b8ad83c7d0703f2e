//! One key's life in the table and its counters, which grow by segments as services are called.

use lapdev_api::key::EnvironmentKey;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

const SEGMENT: u32 = 16;

/// A key from when it entered the table until it leaves.
#[derive(Debug)]
pub struct Life {
    /// The key.
    pub key: EnvironmentKey,
    counts: OnceLock<Box<Segment>>,
}

#[derive(Debug, Default)]
struct Segment {
    tallies: [[Tally; 2]; SEGMENT as usize],
    next: OnceLock<Box<Segment>>,
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    errors: AtomicU64,
}

impl Life {
    /// A key that nothing went to yet.
    #[must_use]
    pub fn new(key: EnvironmentKey) -> Self {
        Self { key, counts: OnceLock::new() }
    }

    fn tally(&self, slot: u32, branch: bool) -> &Tally {
        let mut segment = self.counts.get_or_init(Box::default);
        for _ in 0..slot / SEGMENT {
            segment = segment.next.get_or_init(Box::default);
        }
        &segment.tallies[(slot % SEGMENT) as usize][usize::from(branch)]
    }

    /// Slot, whether to the branch's own pods, requests and errors, of each that is not zero.
    pub fn read(&self) -> impl Iterator<Item = (u32, bool, u64, u64)> {
        let segments = std::iter::successors(self.counts.get(), |segment| segment.next.get());
        let tallies = segments.flat_map(|segment| &segment.tallies);
        let versions = (0_u32..).zip(tallies).flat_map(|(slot, of)| [(slot, false, &of[0]), (slot, true, &of[1])]);
        // Errors first: a reader must never see more of them than requests.
        let read = versions.map(|(slot, branch, tally)| {
            let errors = tally.errors.load(Relaxed);
            (slot, branch, tally.requests.load(Relaxed).max(errors), errors)
        });
        read.filter(|(_, _, requests, _)| *requests > 0)
    }
}

/// Counts one request, which may outlive the snapshot that it was routed by.
#[derive(Debug)]
pub struct Meter {
    life: Arc<Life>,
    slot: u32,
    branch: bool,
}

impl Meter {
    /// A meter for one key, service and version.
    #[must_use]
    pub fn new(life: &Arc<Life>, slot: u32, branch: bool) -> Self {
        Self { life: life.clone(), slot, branch }
    }

    /// The request went to the version. Once for each.
    pub fn request(&self) {
        self.life.tally(self.slot, self.branch).requests.fetch_add(1, Relaxed);
    }

    /// It was answered by an error: 5xx, or a gRPC status by [`super::is_grpc_error`]. At most once for each request.
    pub fn error(&self) {
        self.life.tally(self.slot, self.branch).errors.fetch_add(1, Relaxed);
    }
}
