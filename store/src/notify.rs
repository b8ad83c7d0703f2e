//! Wakes whoever waits for a kind of change. A counter per kind grows after each commit of that kind and never before,
//! so that whoever wakes reads what was committed. Changes coalesce: the counter says that something changed, not what.

use tokio::sync::watch;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A webhook delivery was recorded that waits to be processed.
    Deliveries,
    /// An environment's record changed: published, adopted, closed.
    Desired,
    /// An agent reported a status, or its session opened or closed.
    Status,
    /// The state of the config repository, a cluster's policy or the set of tokens changed.
    Config,
}

/// One counter for each topic.
#[derive(Debug)]
pub(crate) struct Topics {
    deliveries: watch::Sender<u64>,
    desired: watch::Sender<u64>,
    status: watch::Sender<u64>,
    config: watch::Sender<u64>,
}

impl Topics {
    pub(crate) fn new() -> Self {
        let counter = || watch::Sender::new(0);
        Self { deliveries: counter(), desired: counter(), status: counter(), config: counter() }
    }

    pub(crate) fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        self.counter(topic).subscribe()
    }

    pub(crate) fn notify(&self, topic: Topic) {
        self.counter(topic).send_modify(|count| *count += 1);
    }

    fn counter(&self, topic: Topic) -> &watch::Sender<u64> {
        match topic {
            Topic::Deliveries => &self.deliveries,
            Topic::Desired => &self.desired,
            Topic::Status => &self.status,
            Topic::Config => &self.config,
        }
    }
}
