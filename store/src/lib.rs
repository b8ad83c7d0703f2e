//! lapdev's runtime state: the one place with SQL. It keeps and finds, and fences what must never go backwards
//! (generations, ended lives, agents' epochs); it decides nothing else.
//!
//! SQLite by default: one writer connection, several readers, write-ahead log, every commit on the disk before it is
//! said to be done. Whoever waits for a change watches a [`Topic`]; the data itself is always read from the store, so a
//! missed notification delays and never loses.

mod adopt;
mod bundles;
mod comments;
mod config;
mod convert;
mod deliveries;
mod environments;
mod error;
mod notify;
mod observed;
mod open;
mod prune;
mod publish;
mod secrets;
mod sessions;
mod tokens;

#[cfg(test)]
mod model;
#[cfg(test)]
mod sample;

pub use adopt::Adopted;
pub use comments::CommentRecord;
pub use deliveries::{Delivery, Recorded};
pub use environments::{Desired, Which};
pub use error::StoreError;
pub use notify::Topic;
pub use prune::{CLOSED_KEPT, DELIVERIES_KEPT};
pub use publish::{Publication, PublishError};
pub use sessions::{ClusterSession, EPOCH_KEPT};

use error::Attempt as _;
use lapdev_api::name::ControlPlaneId;
use notify::Topics;
use sqlx::{Sqlite, SqlitePool, Transaction};
use std::sync::Arc;
use tokio::sync::watch;

/// A handle on the runtime state. Clones share one database.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    topics: Arc<Topics>,
    control_plane: ControlPlaneId,
}

impl Store {
    /// The id of this control plane, which the database has had since it was made.
    #[must_use]
    pub fn control_plane_id(&self) -> ControlPlaneId {
        self.control_plane.clone()
    }

    /// A counter that grows after each commit of that kind. Receivers see only the newest count.
    #[must_use]
    pub fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        self.topics.watch(topic)
    }

    /// Waits for statements that run, and closes the database. Every later call on any clone fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Starts a transaction that may write. Taking the write lock at once avoids failing halfway through.
    async fn begin(&self, attempted: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.attempt(attempted)
    }

    /// Commits, then notifies. In a task of its own, so that a caller that gives up (a closed HTTP connection, a
    /// deadline) cannot fall between the two.
    async fn commit(
        &self,
        attempted: &'static str,
        transaction: Transaction<'static, Sqlite>,
        topic: Option<Topic>,
    ) -> Result<(), StoreError> {
        let topics = Arc::clone(&self.topics);
        let finish = tokio::spawn(async move {
            transaction.commit().await.attempt(attempted)?;
            if let Some(topic) = topic {
                topics.notify(topic);
            }
            Ok(())
        });
        finish.await.unwrap_or(Err(StoreError::Interrupted { attempted }))
    }
}
