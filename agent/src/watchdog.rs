//! An agent that makes no progress exits, so that its Deployment starts it anew. A thread of its own watches, since a
//! runtime that hangs could not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often the thread looks.
const LOOK: Duration = Duration::from_secs(5);
/// Looks without a sign of life from the runtime before the process ends: a minute.
const DEAF_LOOKS: u32 = 12;
/// Looks with work that is due but none that ends before the process ends: twenty minutes, since one pass over a large
/// environment makes many calls, each with its own time limit.
const STUCK_LOOKS: u32 = 240;

/// What the thread looks at. The runtime beats; the core says what it did and what is due.
#[derive(Debug, Default)]
pub struct Vitals {
    beats: AtomicU64,
    passes: AtomicU64,
    backlog: AtomicU64,
}

/// Why the process should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The async runtime does not run.
    Deaf,
    /// Work is due but none ends.
    Stuck,
}

impl Vitals {
    /// The runtime runs; the core did this many passes, and this many environments are due.
    pub fn beat(&self, passes: u64, backlog: usize) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.passes.store(passes, Ordering::Relaxed);
        self.backlog.store(backlog as u64, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Memory {
    beats: u64,
    deaf: u32,
    passes: u64,
    stuck: u32,
}

impl Memory {
    fn look(&mut self, vitals: &Vitals) -> Option<Stall> {
        let beats = vitals.beats.load(Ordering::Relaxed);
        let passes = vitals.passes.load(Ordering::Relaxed);
        let idle = vitals.backlog.load(Ordering::Relaxed) == 0;
        self.deaf = if beats == self.beats { self.deaf + 1 } else { 0 };
        self.stuck = if idle || passes != self.passes { 0 } else { self.stuck + 1 };
        (self.beats, self.passes) = (beats, passes);
        match () {
            () if self.deaf >= DEAF_LOOKS => Some(Stall::Deaf),
            () if self.stuck >= STUCK_LOOKS => Some(Stall::Stuck),
            () => None,
        }
    }
}

/// Starts the thread. It ends with the process, or ends the process.
///
/// # Errors
/// When the system gives no thread.
pub fn start(vitals: Arc<Vitals>) -> std::io::Result<()> {
    let watch = move || {
        let mut memory = Memory::default();
        loop {
            std::thread::sleep(LOOK);
            if let Some(stall) = memory.look(&vitals) {
                tracing::error!(?stall, "no progress: the agent ends so that it is started anew");
                std::process::exit(70);
            }
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_runtime_and_work_that_never_ends_are_stalls() {
        let vitals = Vitals::default();
        let mut memory = Memory::default();
        let mut looks = |beating: bool, passes: u64, backlog: usize, count: u32| {
            let mut last = None;
            for _ in 0..count {
                if beating {
                    vitals.beat(passes, backlog);
                }
                last = memory.look(&vitals);
            }
            last
        };
        assert_eq!(looks(true, 1, 0, 2 * STUCK_LOOKS), None, "idle is no stall");
        assert_eq!(looks(true, 1, 3, STUCK_LOOKS - 1), None);
        assert_eq!(looks(true, 2, 3, 1), None, "a pass ended");
        assert_eq!(looks(true, 2, 3, STUCK_LOOKS), Some(Stall::Stuck));
        assert_eq!(looks(true, 3, 0, 1), None);
        assert_eq!(looks(false, 3, 0, DEAF_LOOKS), Some(Stall::Deaf));
    }
}
