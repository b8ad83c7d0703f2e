//! Somebody who uses the router as one should while others misuse it.

use super::{backend::Backend, ground::Ground, memory, talk::Talk};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    sync::{RwLockWriteGuard, oneshot},
    task::JoinHandle,
};

/// No request of somebody else's may take longer. Machines that test are busy.
const UNHARMED: Duration = Duration::from_secs(5);

/// Asks again and again, on a kept connection and on new ones, until it is asked what it saw.
pub struct Witness {
    end: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Witness {
    pub fn of(ground: &Ground) -> Self {
        Self::with(ground, "")
    }

    /// One who uses the branch, where the baseline is no ordinary backend.
    pub fn of_branch(ground: &Ground) -> Self {
        Self::with(ground, "tracestate: lapdev=feature-x-abc234\r\n")
    }

    fn with(ground: &Ground, fields: &'static str) -> Self {
        let (end, ended) = oneshot::channel();
        Self { end, task: tokio::spawn(watch(ground.web, fields, ended)) }
    }

    /// Panics if any request went wrong.
    pub async fn was_unharmed(self) {
        self.end.send(()).expect("it still watches");
        let requests = self.task.await.expect("every request was answered in time");
        assert!(requests >= 2, "{requests} requests say nothing");
    }
}

/// A router that is misused while somebody uses it as one should. Nothing else runs that could be measured instead.
pub struct Siege {
    pub ground: Ground,
    pub backend: Backend,
    witness: Witness,
    before: usize,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Siege {
    pub async fn begin() -> Self {
        let alone = memory::alone().await;
        let (mut ground, backend) = (Ground::start().await, Backend::start().await);
        ground.baseline(&[backend.address]);
        let witness = Witness::of(&ground);
        Self { ground, backend, witness, before: memory::resident(), _alone: alone }
    }

    /// Panics if more memory than so many MiB is held.
    pub fn held_at_most(&self, mib: usize) {
        memory::grew_at_most(self.before, mib);
    }

    /// The same, and if anybody else was harmed. What saw the requests.
    pub async fn harmed_nobody(self, mib: usize) -> Backend {
        self.held_at_most(mib);
        self.witness.was_unharmed().await;
        memory::grew_at_most(self.before, mib);
        self.backend
    }
}

async fn watch(web: SocketAddr, fields: &str, mut ended: oneshot::Receiver<()>) -> usize {
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: web\r\n{fields}\r\n");
    let (mut kept, mut requests) = (Talk::to(web).await, 0);
    loop {
        let start = Instant::now();
        assert_eq!(kept.ask(&ask("/kept")).await.text(), "/kept");
        assert_eq!(Talk::to(web).await.ask(&ask("/new")).await.text(), "/new");
        assert!(start.elapsed() < UNHARMED, "two requests took {:?}", start.elapsed());
        requests += 2;
        let pause = tokio::time::timeout(Duration::from_millis(20), &mut ended);
        if pause.await.is_ok() {
            return requests;
        }
    }
}
