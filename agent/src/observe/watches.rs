//! The watches themselves: one task for each kind in each namespace, started and stopped as environments come and go.

use crate::{
    apiserver::{ApiServer, Kind},
    drift::Queue,
    object::ObjectId,
    observe::{Index, Observed},
};
use futures_util::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    core::{DynamicObject, PartialObjectMeta},
    runtime::{WatchStreamExt, utils::Backoff, watcher, watcher::DefaultBackoff},
};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// Events of one object come in bursts; an environment is looked at once for all of them.
const SETTLE: Duration = Duration::from_millis(100);

/// How much of each object is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Its metadata.
    Metadata,
    /// All that health reads.
    Full,
}

/// One watch: a kind in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watch {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for all.
    pub namespace: String,
    /// How much of each object.
    pub depth: Depth,
    /// The label selector; empty for every object.
    pub selector: String,
}

/// Every watch that runs. Dropping it ends them.
pub struct Watches {
    api: ApiServer,
    index: Arc<Index>,
    queue: Arc<Queue>,
    running: Mutex<HashMap<Watch, JoinHandle<()>>>,
}

impl Watches {
    /// Starts without any.
    #[must_use]
    pub fn new(api: ApiServer, index: Arc<Index>, queue: Arc<Queue>) -> Self {
        Self { api, index, queue, running: Mutex::default() }
    }

    /// Makes exactly these run.
    pub fn set(&self, wanted: &HashSet<Watch>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|watch, task| {
            let keep = wanted.contains(watch) && !task.is_finished();
            if !keep {
                task.abort();
                let resource = &watch.kind.resource;
                // Another depth of the same scope takes over at once, and lists anew.
                if !wanted.iter().any(|other| same_scope(watch, other)) {
                    self.index.forget((&resource.group, &resource.kind, &watch.namespace));
                }
            }
            keep
        });
        for watch in wanted {
            if !running.contains_key(watch) {
                let sink = Sink { watch: watch.clone(), index: self.index.clone(), queue: self.queue.clone() };
                running.insert(watch.clone(), tokio::spawn(run(self.api.clone(), sink)));
            }
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.values().for_each(JoinHandle::abort);
    }
}

fn same_scope(one: &Watch, other: &Watch) -> bool {
    one.kind == other.kind && one.namespace == other.namespace
}

/// The default back-off, but one that only time resets: a watcher says "a listing begins" before each listing, and a
/// namespace that may not be read would be asked for every second, with a warning each time.
#[derive(Default)]
struct Patience(DefaultBackoff);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

async fn run(api: ApiServer, sink: Sink) {
    let mut config = watcher::Config::default();
    if !sink.watch.selector.is_empty() {
        config = config.labels(&sink.watch.selector);
    }
    let (client, namespace, resource) = (api.client(), sink.watch.namespace.as_str(), &sink.watch.kind.resource);
    match sink.watch.depth {
        Depth::Full => {
            let api: Api<DynamicObject> = match namespace {
                "" => Api::all_with(client, resource),
                namespace => Api::namespaced_with(client, namespace, resource),
            };
            let events = watcher(api, config).backoff(Patience::default());
            sink.follow(events, |object| (object.metadata, object.data)).await;
        }
        Depth::Metadata => {
            let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                "" => Api::all_with(client, resource),
                namespace => Api::namespaced_with(client, namespace, resource),
            };
            let events = watcher(api, config).backoff(Patience::default());
            sink.follow(events, |object| (object.metadata, Value::Null)).await;
        }
    }
}

/// Where a watch's events go.
struct Sink {
    watch: Watch,
    index: Arc<Index>,
    queue: Arc<Queue>,
}

impl Sink {
    async fn follow<K>(
        &self,
        events: impl futures_util::Stream<Item = Result<watcher::Event<K>, watcher::Error>>,
        read: impl Fn(K) -> (ObjectMeta, Value),
    ) {
        let mut events = std::pin::pin!(events);
        let mut listing = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listing.clear(),
                Ok(watcher::Event::InitApply(object)) => listing.push(self.read(read(object))),
                Ok(watcher::Event::InitDone) => self.listed(std::mem::take(&mut listing)),
                Ok(watcher::Event::Apply(object)) => {
                    let (id, observed) = self.read(read(object));
                    // Also whose it was: a label that was taken off leaves no other trace.
                    if let Some(before) = self.index.get(&id) {
                        self.tell(&before.metadata);
                    }
                    self.tell(&observed.metadata);
                    self.index.put(id, observed);
                }
                Ok(watcher::Event::Delete(object)) => {
                    let (id, observed) = self.read(read(object));
                    self.tell(&observed.metadata);
                    self.index.remove(&id, &observed.metadata);
                }
                Err(error) => {
                    let resource = &self.watch.kind.resource.plural;
                    let namespace = &self.watch.namespace;
                    // The watcher backs off and lists again by itself.
                    tracing::debug!(%error, %resource, %namespace, "watch interrupted");
                }
            }
        }
    }

    fn listed(&self, listing: Vec<(ObjectId, Observed)>) {
        let resource = &self.watch.kind.resource;
        let scope = (resource.group.as_str(), resource.kind.as_str(), self.watch.namespace.as_str());
        for (_, observed) in self.index.replace(scope, listing) {
            self.tell(&observed.metadata);
        }
    }

    /// Asks for a look at the environment that the object belongs to.
    fn tell(&self, metadata: &ObjectMeta) {
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        if let Some(uid) = self.index.environment_of(namespace, metadata) {
            self.queue.add_at(&uid, Instant::now() + SETTLE);
        }
    }

    fn read(&self, (metadata, rest): (ObjectMeta, Value)) -> (ObjectId, Observed) {
        let resource = &self.watch.kind.resource;
        let id = ObjectId {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            // The scope's, not the object's: a watch over all namespaces is of cluster-scoped objects.
            namespace: self.watch.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        (id, Observed::new(metadata, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_begins_and_fails_again_and_again_is_tried_ever_less_often() {
        let mut patience = Patience::default();
        let pauses: Vec<Duration> = (0..8)
            .filter_map(|_| {
                // What a watcher does when it says that a listing begins.
                patience.reset();
                patience.next()
            })
            .collect();
        assert!(pauses[7] >= Duration::from_secs(20) && pauses[7] > pauses[0] * 5, "{pauses:?}");
    }
}
