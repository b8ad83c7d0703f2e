//! What the agent has to say to the hub, coalesced: of each environment the latest status, said again in each session.
//!
//! Bounded by the number of environments, whatever their statuses do and however long the hub is away.

use lapdev_api::{
    digest::Digest,
    name::{Generation, Uid},
    status::EnvironmentStatus,
    wire::AgentMessage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Where the agent's parts leave what the hub should know. Clones are the same box.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    content: Arc<Mutex<Content>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Content {
    statuses: BTreeMap<Uid, EnvironmentStatus>,
    unsent: BTreeSet<Uid>,
    gone: BTreeMap<Uid, Generation>,
    needed: BTreeSet<Digest>,
    refused: BTreeMap<Uid, Generation>,
}

impl Outbox {
    /// An environment's status; one that says what the last one said is not sent again.
    pub fn status(&self, status: EnvironmentStatus) {
        let mut content = self.lock();
        if content.statuses.get(&status.uid) == Some(&status) {
            return;
        }
        content.unsent.insert(status.uid.clone());
        content.statuses.insert(status.uid.clone(), status);
        drop(content);
        self.changed.notify_one();
    }

    /// Everything of a tombstoned environment is gone. Should this get lost, the hub sends the tombstone again.
    pub fn gone(&self, uid: &Uid, generation: Generation) {
        let mut content = self.lock();
        content.statuses.remove(uid);
        content.unsent.remove(uid);
        content.gone.insert(uid.clone(), generation);
        drop(content);
        self.changed.notify_one();
    }

    /// A bundle is missing (also one that was held, but could not be read back).
    pub fn need(&self, digest: Digest) {
        self.lock().needed.insert(digest);
        self.changed.notify_one();
    }

    pub(super) fn refused(&self, uid: &Uid, held: Generation) {
        self.lock().refused.insert(uid.clone(), held);
        self.changed.notify_one();
    }

    /// A new session: statuses are said again, answers to the old one's messages are not.
    pub(super) fn restart(&self) {
        let mut content = self.lock();
        content.unsent = content.statuses.keys().cloned().collect();
        content.gone.clear();
        content.needed.clear();
        content.refused.clear();
    }

    /// The next thing to say. Safe to cancel.
    pub(super) async fn next(&self) -> AgentMessage {
        loop {
            let changed = self.changed.notified();
            if let Some(message) = self.take() {
                return message;
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<AgentMessage> {
        let mut content = self.lock();
        if let Some(digest) = content.needed.pop_first() {
            return Some(AgentMessage::Need { digest });
        }
        if let Some((uid, held)) = content.refused.pop_first() {
            return Some(AgentMessage::Refused { uid, held });
        }
        if let Some((uid, generation)) = content.gone.pop_first() {
            return Some(AgentMessage::Gone { uid, generation });
        }
        let uid = content.unsent.pop_first()?;
        content.statuses.get(&uid).cloned().map(AgentMessage::Status)
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::status::Phase;

    fn status(uid: &str, message: &str) -> EnvironmentStatus {
        EnvironmentStatus {
            uid: uid.parse().expect("legal"),
            generation: Generation(1),
            applied: None,
            phase: Phase::Progressing,
            message: message.to_owned(),
            workloads: vec![],
            notices: vec![],
            traffic: vec![],
        }
    }

    #[tokio::test]
    async fn the_latest_status_wins_and_is_said_again_in_a_new_session() {
        let outbox = Outbox::default();
        for message in ["one", "two", "three"] {
            outbox.status(status("aaaaaaaaaaaaaaaa", message));
        }
        outbox.status(status("bbbbbbbbbbbbbbbb", "other"));
        let latest = AgentMessage::Status(status("aaaaaaaaaaaaaaaa", "three"));
        assert_eq!(outbox.next().await, latest);
        assert_eq!(outbox.next().await, AgentMessage::Status(status("bbbbbbbbbbbbbbbb", "other")));
        outbox.status(status("aaaaaaaaaaaaaaaa", "three"));
        assert_eq!(outbox.take(), None);
        outbox.restart();
        assert_eq!(outbox.next().await, latest);
    }

    #[test]
    fn what_is_gone_has_no_status() {
        let outbox = Outbox::default();
        let uid = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        outbox.status(status("aaaaaaaaaaaaaaaa", "Terminating"));
        outbox.gone(&uid, Generation(4));
        assert_eq!(outbox.take(), Some(AgentMessage::Gone { uid, generation: Generation(4) }));
        assert_eq!(outbox.take(), None);
    }
}
