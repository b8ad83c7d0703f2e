//! The connections of the admin server: few for each address, and when there are too many in all the oldest ends.

use std::{collections::VecDeque, future::Future, net::IpAddr};
use tokio::task::{AbortHandle, JoinSet};

/// So many at once.
pub(super) const MOST: usize = 64;
/// So many at once from one address: the agent asks for several environments at a time.
pub(super) const MOST_FROM_ONE: usize = 16;

#[derive(Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// In the order of their beginning.
    open: VecDeque<(IpAddr, AbortHandle)>,
}

impl Connections {
    /// Runs a connection, at the cost of its address' oldest one, or of the oldest one of all.
    pub(super) fn add(&mut self, from: IpAddr, connection: impl Future<Output = ()> + Send + 'static) {
        self.tidy();
        if self.open.iter().filter(|(of, ..)| *of == from).count() >= MOST_FROM_ONE {
            self.end_oldest(|of| of == from);
        } else if self.open.len() >= MOST {
            self.end_oldest(|_| true);
        }
        self.open.push_back((from, self.tasks.spawn(connection)));
    }

    fn end_oldest(&mut self, of: impl Fn(IpAddr) -> bool) {
        if let Some(at) = self.open.iter().position(|(from, ..)| of(*from))
            && let Some((_, task)) = self.open.remove(at)
        {
            task.abort();
        }
    }

    fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|(.., task)| !task.is_finished());
    }

    /// Waits for one to end; for ever where there is none.
    pub(super) async fn one_ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    #[cfg(test)]
    pub(super) fn len(&mut self) -> usize {
        self.tidy();
        self.open.len()
    }
}
