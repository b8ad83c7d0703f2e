//! When the next pass is due, and how much it looks at.

use super::pass::{Done, Scope};
use lapdev_store::{Store, Topic};
use std::{future::pending, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// How long after a delivery its repository is looked at once more.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// The pause after the first failed pass, which doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause after failed passes.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the loop waits for.
pub(super) struct Wake {
    deliveries: watch::Receiver<u64>,
    desired: watch::Receiver<u64>,
    poll: Duration,
    next_poll: Instant,
    second_look: Option<Instant>,
    /// A pass that is owed, and since when nothing else may hurry it.
    owed: Option<(Instant, Scope)>,
    failures: u32,
}

impl Wake {
    /// The first pass is due at once.
    pub fn new(store: &Store, poll: Duration) -> Self {
        Self {
            deliveries: store.watch(Topic::Deliveries),
            desired: store.watch(Topic::Desired),
            poll,
            next_poll: Instant::now(),
            second_look: None,
            owed: None,
            failures: 0,
        }
    }

    /// Waits until a pass is due. Notifications that come during a pass are not lost: they are due right after it.
    pub async fn next(&mut self) -> Scope {
        let scope = match self.owed {
            // What failed may well fail again, so a nudge does not hurry it.
            Some((at, owed)) => tokio::select! {
                () = sleep_until(self.next_poll) => Scope::Everything,
                () = sleep_until(at) => owed,
            },
            None => tokio::select! {
                biased;
                () = sleep_until(self.next_poll) => Scope::Everything,
                () = changed(&mut self.deliveries) => Scope::Nudged,
                () = at(self.second_look) => Scope::SecondLook,
                () = changed(&mut self.desired) => Scope::Nudged,
            },
        };
        if scope == Scope::Everything {
            self.next_poll = Instant::now() + self.poll;
        }
        if scope != Scope::Nudged {
            self.second_look = None;
        }
        scope
    }

    /// A pass was made.
    pub fn after(&mut self, done: Done) {
        self.failures = 0;
        self.owed = done.more.then(|| (Instant::now(), Scope::Nudged));
        if done.second_look {
            self.second_look.get_or_insert_with(|| Instant::now() + SECOND_LOOK);
        }
    }

    /// A pass failed: it is owed, after the pause that this returns.
    pub fn after_failure(&mut self, scope: Scope) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.owed = Some((Instant::now() + pause, scope));
        pause
    }
}

/// A store that is gone notifies nobody; the poll goes on.
async fn changed(receiver: &mut watch::Receiver<u64>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failed_passes_are_owed_after_pauses_that_grow() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("lapdev.db"), &"a".repeat(16).parse().expect("legal"))
            .await
            .expect("a store");
        let mut wake = Wake::new(&store, Duration::from_secs(3600));
        assert_eq!(wake.next().await, Scope::Everything);
        let pauses: Vec<Duration> = (0..12).map(|_| wake.after_failure(Scope::SecondLook)).collect();
        assert_eq!((pauses[0], pauses[1], pauses[11]), (FIRST_PAUSE, FIRST_PAUSE * 2, LONGEST_PAUSE));
        wake.failures = 0;
        wake.after_failure(Scope::SecondLook);
        assert_eq!(wake.next().await, Scope::SecondLook);
        wake.after(Done { changed: 0, more: true, second_look: false });
        assert_eq!(wake.next().await, Scope::Nudged);
    }
}
