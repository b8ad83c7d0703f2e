//! The router's two watches, of ConfigMap `lapdev-routes` and of the namespace's EndpointSlices, and the one place that
//! turns what they say into snapshots. Reads only.
//!
//! While the API server is away, or a table cannot be read, the last good state stays in force: nothing here ever takes a
//! snapshot back. Run it on a thread of its own, so that no request waits while a table is read.

mod follow;
#[cfg(test)]
mod tests;

use crate::{
    count::Metrics,
    table::{self, Index, Slice, Snapshot},
};
use follow::{Source, follow};
use k8s_openapi::api::{core::v1::ConfigMap, discovery::v1::EndpointSlice};
use kube::{Api, Client, runtime::watcher};
use lapdev_api::{
    labels::ROUTER_TOKEN,
    route::{TABLE_KEY, TABLE_NAME},
};
use std::sync::Arc;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Changes that are taken in before the next snapshot, at most; and so many may wait.
const BATCH: usize = 256;
/// Objects in one page of a listing: small, since a page is the most memory that listing takes.
const PAGE: u32 = 100;
/// For how long a watch is asked for, in seconds. A dead connection is noticed soon after.
const WATCH_SECONDS: u32 = 120;

/// What a watch saw.
#[derive(Debug)]
enum Change {
    /// The table as it is written, its ConfigMap's `resourceVersion`, and by what the agent is known.
    Table {
        version: String,
        text: Option<String>,
        token: Option<String>,
    },
    /// There is no ConfigMap.
    NoTable,
    SlicesBegin,
    Slice(Slice),
    SliceGone(String),
    SlicesEnd,
}

/// Keeps `publish` at what the API server says, until `stop`.
pub async fn run(
    client: Client,
    namespace: &str,
    publish: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let (tell, mut changes) = mpsc::channel(BATCH);
    let mut watches = JoinSet::new();
    let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    watches.spawn(follow(watcher(slices, config.clone()), Slices, tell.clone(), metrics.clone()));
    // By name, since the Role allows no other.
    let (tables, config) = (Api::namespaced(client, namespace), config.fields(&format!("metadata.name={TABLE_NAME}")));
    watches.spawn(follow(watcher(tables, config), Table::default(), tell, metrics.clone()));
    let mut keeper = Keeper { index: Index::default(), publish, metrics };
    stop.run_until_cancelled(keeper.run(&mut changes)).await;
    watches.shutdown().await;
}

/// Owns the index.
struct Keeper {
    index: Index,
    publish: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
}

impl Keeper {
    async fn run(&mut self, changes: &mut mpsc::Receiver<Change>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let expiry = self.index.next_expiry().map(Instant::from_std);
            let expired = async {
                match expiry {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = changes.recv_many(&mut batch, BATCH) => if received == 0 { return },
                () = expired => {}
            }
            batch.drain(..).for_each(|change| self.take_in(change));
            self.index.expire(Instant::now().into_std());
            if let Some(snapshot) = self.index.changed() {
                self.publish.send_replace(Arc::new(snapshot));
            }
        }
    }

    fn take_in(&mut self, change: Change) {
        match change {
            Change::Table { version, text, token } => {
                self.index.set_token(token.as_deref());
                self.take_table(&version, text.as_deref());
            }
            Change::NoTable => tracing::warn!(
                "ConfigMap {TABLE_NAME} does not exist; its last content stays in force until the agent writes it"
            ),
            Change::SlicesBegin => self.index.begin_listing(),
            Change::Slice(slice) => self.index.put(slice),
            Change::SliceGone(name) => self.index.remove(&name),
            Change::SlicesEnd => self.index.end_listing(),
        }
    }

    fn take_table(&mut self, version: &str, text: Option<&str>) {
        if self.index.version() == Some(version) {
            return;
        }
        match table::read(text) {
            Ok(table) => {
                self.index.set_table(version, &table, Instant::now().into_std());
                let (branches, ports) = (table.branches.len(), table.services.values().map(|s| s.ports.len()).sum());
                self.metrics.table_in_force(branches, ports);
                tracing::debug!(version, branches, ports, "table in force");
            }
            Err(error) => {
                self.metrics.table_refused.inc();
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(version, %error, source, "ConfigMap {TABLE_NAME} is refused");
            }
        }
    }
}

struct Slices;

impl Source for Slices {
    type Object = EndpointSlice;
    const WHAT: &'static str = "EndpointSlices";

    fn read(&mut self, event: watcher::Event<EndpointSlice>) -> Option<Change> {
        match event {
            watcher::Event::Init => Some(Change::SlicesBegin),
            watcher::Event::InitDone => Some(Change::SlicesEnd),
            watcher::Event::Apply(slice) | watcher::Event::InitApply(slice) => match Slice::of(&slice) {
                Some(slice) => Some(Change::Slice(slice)),
                // It may have been one of ours before.
                None => slice.metadata.name.map(Change::SliceGone),
            },
            watcher::Event::Delete(slice) => slice.metadata.name.map(Change::SliceGone),
        }
    }
}

#[derive(Default)]
struct Table {
    /// Whether the listing under way has it.
    listed: bool,
}

impl Source for Table {
    type Object = ConfigMap;
    const WHAT: &'static str = "ConfigMap lapdev-routes";

    fn read(&mut self, event: watcher::Event<ConfigMap>) -> Option<Change> {
        match event {
            watcher::Event::Init => {
                self.listed = false;
                None
            }
            watcher::Event::InitDone => (!self.listed).then_some(Change::NoTable),
            watcher::Event::Apply(map) | watcher::Event::InitApply(map) => {
                self.listed = true;
                let version = map.metadata.resource_version.unwrap_or_default();
                let text = map.data.and_then(|mut data| data.remove(TABLE_KEY));
                let token = map.metadata.annotations.and_then(|mut all| all.remove(ROUTER_TOKEN));
                Some(Change::Table { version, text, token })
            }
            watcher::Event::Delete(_) => Some(Change::NoTable),
        }
    }
}
