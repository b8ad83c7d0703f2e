//! Keeps the ConfigMap with each namespace's routing table as [`crate::routes`] says that it should be.
//!
//! Every pass brings in what its own environment contributes, and then whoever has the turn writes what all contributed so
//! far: of many that open at once, not each has to write. What others contribute is read once, when the namespace is first
//! met; so an agent that starts anew never writes less than there was.

use super::{Core, Work, converge::Trouble};
use crate::{
    apiserver::CallError,
    apply::apply_object,
    drift::Fingerprint,
    object::{Desired, Marks, ObjectId, Standing, label},
    observe::Observed,
    registry::Environment,
    routes::{self, Base, Branch, Contributions, RoutesError, Settings, Since},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::GroupVersionKind;
use lapdev_api::{
    digest::Digest,
    kinds::EnvironmentType,
    labels,
    name::{ControlPlaneId, Namespace, Uid},
    route::{RoutedService, RoutingTable, TABLE_NAME},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The tables, by namespace.
#[derive(Default)]
pub(super) struct Tables(Mutex<HashMap<Namespace, Arc<Table>>>);

/// One namespace's.
#[derive(Default)]
pub(super) struct Table {
    /// Held while the cluster's is read or written.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether what every environment contributes was read.
    complete: bool,
    all: Contributions,
    since: Since,
    /// What the table should be; none where nothing is routed.
    content: Option<Content>,
    written: Option<Written>,
}

/// A table to be written.
#[derive(Debug, Clone)]
struct Content {
    json: Arc<str>,
    /// Of the JSON, and of since when its Services are routed.
    digest: Digest,
}

/// What stands in the cluster.
#[derive(Debug, Clone)]
struct Written {
    digest: Digest,
    uid: Option<String>,
    fingerprint: Fingerprint,
    version: Option<String>,
}

/// What one environment contributes.
#[derive(Debug, Clone, PartialEq)]
enum Contribution {
    Base(Base),
    Branch(Branch),
    Nothing,
}

impl Core {
    /// Brings the table of an environment's namespace to what the environment is now: held and as it stands in the cluster.
    pub(super) async fn route(&self, held: &Environment, work: &mut Work) -> Result<(), Trouble> {
        let table = self.tables.of(&held.namespace);
        self.complete(&table, &held.namespace).await?;
        let standing = self.standing_services(held).await?;
        let Some(session) = self.session() else { return Ok(()) };
        let settings = table.state().all.base.as_ref().map(|base| base.settings);
        let contribution = contribution(held, &session.control_plane, &standing, settings.unwrap_or_default())?;
        for other in table.state().take(&held.identity.uid, contribution)? {
            self.queue.add(&other);
        }
        self.write_table(&held.namespace, &table, work).await
    }

    /// The ConfigMap's resource version, once this agent wrote or read one.
    pub(super) fn table_version(&self, namespace: &Namespace) -> Option<String> {
        self.tables.of(namespace).state().written.as_ref()?.version.clone()
    }

    /// Looks at what a namespace is routed by now, and since when.
    pub(super) fn with_routing<T>(&self, namespace: &Namespace, look: impl FnOnce(&Contributions, &Since) -> T) -> T {
        let table = self.tables.of(namespace);
        let state = table.state();
        look(&state.all, &state.since)
    }

    /// A branch is gone, or a namespace with its base.
    pub(super) fn forget_routes(&self, namespace: &Namespace, uid: &Uid) {
        let table = self.tables.of(namespace);
        let is_base = table.state().all.base.as_ref().is_some_and(|base| base.marks.uid == *uid);
        if is_base {
            self.tables.forget(namespace);
        } else {
            // Less always fits.
            drop(table.state().take(uid, Contribution::Nothing));
        }
    }

    /// Reads what every environment of the namespace contributes, and the table that stands there: once.
    async fn complete(&self, table: &Table, namespace: &Namespace) -> Result<(), Trouble> {
        let _turn = table.turn.lock().await;
        if table.state().complete {
            return Ok(());
        }
        let Some(session) = self.session() else { return Ok(()) };
        let services = self.list_services(namespace, labels::ENVIRONMENT).await?;
        let found = self.api.get(&self.config_maps().await?, &table_id(namespace)).await?;
        let mut state = State { complete: true, ..State::default() };
        let mut settings = Settings::default();
        if let Some(found) = found {
            let metadata = found.metadata.clone();
            let value = serde_json::to_value(&found).unwrap_or_default();
            let (json, since) = routes::read_back(&value);
            let before: Option<RoutingTable> = json.and_then(|json| serde_json::from_str(json).ok());
            if let Some(RoutingTable { served_by, hold_seconds, .. }) = before {
                settings = Settings { served_by, hold_seconds };
            }
            state.written = Some(Written::of(&metadata, digest(json.unwrap_or_default(), &since)));
            state.since = since;
            self.index.applied(&table_id(namespace), metadata);
        }
        let none = BTreeMap::new();
        let held: Vec<_> = self.registry().iter().map(|(_, held)| held.clone()).collect();
        for held in held.iter().filter(|held| held.namespace == *namespace) {
            let standing = services.get(held.identity.uid.as_str()).unwrap_or(&none);
            // One whose bundle cannot be read says so in its own pass.
            let read = contribution(held, &session.control_plane, standing, settings);
            state.put(&held.identity.uid, read.unwrap_or(Contribution::Nothing));
        }
        for dropped in state.fit() {
            self.queue.add(&dropped);
        }
        *table.state() = state;
        Ok(())
    }

    /// Makes the ConfigMap what it should be; asks the API server nothing where it is.
    async fn write_table(&self, namespace: &Namespace, table: &Table, work: &mut Work) -> Result<(), Trouble> {
        let _turn = table.turn.lock().await;
        let id = table_id(namespace);
        let (marks, content, since, written) = {
            let state = table.state();
            let Some(base) = &state.all.base else { return Ok(()) };
            (base.marks.clone(), state.content.clone(), state.since.clone(), state.written.clone())
        };
        let stands =
            |written: &Written| self.index.get(&id).is_some_and(|seen| seen.fingerprint == written.fingerprint);
        let Some(content) = content else {
            return match written {
                Some(written) => self.delete_table(table, &id, &marks, &written).await,
                None => Ok(()),
            };
        };
        if written.as_ref().is_some_and(|written| written.digest == content.digest && stands(written)) {
            return Ok(());
        }
        let desired = Desired::read(&routes::render(namespace, &marks, &content.json, &since)).expect("it is named");
        let known = written.as_ref().and_then(|written| written.uid.clone());
        let applied = apply_object(&self.api, &marks, &desired, known.as_deref()).await;
        let applied = applied.map_err(|error| self.sort_out(error))?;
        let now = Written::of(&applied.metadata, content.digest);
        let what = written.and_then(|before| drift(&before, self.index.get(&id).as_deref(), &now));
        table.state().written = Some(now);
        self.index.applied(&id, applied.metadata);
        work.drift.extend(applied.notices);
        if let Some(what) = what {
            tracing::info!(object = %id, what, "put back");
            work.drift.insert(format!("{id} {what}; put back"));
        }
        Ok(())
    }

    /// Nothing is routed any more.
    async fn delete_table(
        &self,
        table: &Table,
        id: &ObjectId,
        marks: &Marks,
        written: &Written,
    ) -> Result<(), Trouble> {
        let kind = self.config_maps().await?;
        let ours = self.api.metadata(&kind, id).await?.filter(|found| marks.standing(found) == Standing::Ours);
        if let Some(found) = ours {
            tracing::info!(object = %id, "delete");
            self.api.delete(&kind, id, found.uid.as_deref().or(written.uid.as_deref()).unwrap_or_default()).await?;
        }
        table.state().written = None;
        Ok(())
    }

    /// The environment's Services in the cluster, by name: from what the watches saw, once they have seen all.
    async fn standing_services(&self, held: &Environment) -> Result<BTreeMap<String, ObjectMeta>, CallError> {
        let (uid, namespace) = (held.identity.uid.as_str(), held.namespace.as_str());
        if !self.index.is_listed("", "Service", namespace) {
            let selector = format!("{}={uid}", labels::ENVIRONMENT);
            return Ok(self.list_services(&held.namespace, &selector).await?.remove(uid).unwrap_or_default());
        }
        let ours = |metadata: &ObjectMeta| {
            label(metadata, labels::ENVIRONMENT) == Some(uid) && metadata.deletion_timestamp.is_none()
        };
        let bundle = held.bundle.as_ref().filter(|_| held.identity.branch.is_some());
        let seen: Vec<_> = match bundle {
            Some(content) => {
                let names = routes::services(&content.bundle).map(|(name, _)| service_id(namespace, name));
                names.filter_map(|id| Some((id.clone(), self.index.get(&id)?))).collect()
            }
            None => self.index.of_kind("", "Service", namespace),
        };
        let seen = seen.into_iter().filter(|(_, service)| ours(&service.metadata));
        Ok(seen.map(|(id, service)| (id.name, service.metadata.clone())).collect())
    }

    /// Services of a namespace by their environment's uid, asked of the API server.
    async fn list_services(
        &self,
        namespace: &Namespace,
        selector: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, ObjectMeta>>, CallError> {
        let kind = self.api.kind(&GroupVersionKind::gvk("", "v1", "Service")).await?;
        let listed = self.api.list(&kind, namespace.as_str(), selector).await?;
        let mut all: BTreeMap<String, BTreeMap<String, ObjectMeta>> = BTreeMap::new();
        for metadata in listed.into_iter().filter(|metadata| metadata.deletion_timestamp.is_none()) {
            if let (Some(uid), Some(name)) = (label(&metadata, labels::ENVIRONMENT), metadata.name.clone()) {
                all.entry(uid.to_owned()).or_default().insert(name, metadata);
            }
        }
        Ok(all)
    }
}

/// What an environment contributes, given its Services in the cluster. Pure.
fn contribution(
    held: &Environment,
    control_plane: &ControlPlaneId,
    standing: &BTreeMap<String, ObjectMeta>,
    settings: Settings,
) -> Result<Contribution, RoutesError> {
    let bundle = held.bundle.as_ref().map(|content| &content.bundle);
    if let Some(branch) = &held.identity.branch {
        if held.end.is_some() {
            return Ok(Contribution::Nothing);
        }
        let wanted = |name: &&String| bundle.is_none_or(|bundle| routes::services(bundle).any(|(own, _)| own == *name));
        let services = standing.keys().filter(wanted).cloned().collect();
        return Ok(Contribution::Branch(Branch { key: branch.key.clone(), services }));
    }
    if held.identity.environment_type == EnvironmentType::Branch {
        return Ok(Contribution::Nothing);
    }
    let standing: BTreeMap<String, Option<RoutedService>> =
        standing.iter().map(|(name, metadata)| (name.clone(), routes::routed(metadata))).collect();
    let (desired, settings) = match bundle {
        _ if held.end.is_some() => (BTreeMap::new(), settings),
        Some(bundle) => (routes::declared(bundle)?, routes::settings(bundle)),
        // Without its bytes it stays as it is.
        None => {
            let routed = standing.iter().filter_map(|(name, routed)| Some((name.clone(), routed.clone()?)));
            (routed.collect(), settings)
        }
    };
    let marks = Marks { control_plane: control_plane.clone(), uid: held.identity.uid.clone() };
    Ok(Contribution::Base(Base { marks, settings, desired, standing }))
}

/// What became of the ConfigMap between two writes of ours.
fn drift(before: &Written, seen: Option<&Observed>, now: &Written) -> Option<&'static str> {
    match seen {
        _ if before.uid != now.uid => Some("was gone"),
        Some(seen) if seen.fingerprint != before.fingerprint => Some("had changed"),
        _ => None,
    }
}

impl Tables {
    fn of(&self, namespace: &Namespace) -> Arc<Table> {
        self.lock().entry(namespace.clone()).or_default().clone()
    }

    /// Forgets all: another control plane's environments are looked after now.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// A namespace is gone.
    pub(super) fn forget(&self, namespace: &Namespace) {
        self.lock().remove(namespace);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Namespace, Arc<Table>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what an environment contributes now. Returns the others that have something new to say because of it.
    ///
    /// # Errors
    /// When the table would not fit; then it stays as it was, so that what is in it goes on being routed.
    fn take(&mut self, uid: &Uid, contribution: Contribution) -> Result<BTreeSet<Uid>, RoutesError> {
        let since = self.since.clone();
        let before = self.put(uid, contribution);
        let same = self.contributed(uid) == before;
        self.since.follow(&self.all, next_second());
        if same && since == self.since {
            return Ok(BTreeSet::new());
        }
        if let Err(error) = self.encode() {
            self.put(uid, before);
            self.since = since;
            return Err(error);
        }
        let concerns_all = since != self.since;
        Ok(self.all.branches.keys().filter(|other| concerns_all && *other != uid).cloned().collect())
    }

    /// Returns what was there before.
    fn put(&mut self, uid: &Uid, contribution: Contribution) -> Contribution {
        match contribution {
            Contribution::Base(base) => self.all.base.replace(base).map_or(Contribution::Nothing, Contribution::Base),
            Contribution::Branch(branch) => {
                let before = self.all.branches.insert(uid.clone(), branch);
                before.map_or(Contribution::Nothing, Contribution::Branch)
            }
            Contribution::Nothing if self.all.base.as_ref().is_some_and(|base| base.marks.uid == *uid) => {
                self.all.base.take().map_or(Contribution::Nothing, Contribution::Base)
            }
            Contribution::Nothing => self.all.branches.remove(uid).map_or(Contribution::Nothing, Contribution::Branch),
        }
    }

    /// What an environment contributes now.
    fn contributed(&self, uid: &Uid) -> Contribution {
        let base = self.all.base.as_ref().filter(|base| base.marks.uid == *uid).cloned();
        let branch = || self.all.branches.get(uid).cloned().map_or(Contribution::Nothing, Contribution::Branch);
        base.map_or_else(branch, Contribution::Base)
    }

    /// # Errors
    /// When it does not fit.
    fn encode(&mut self) -> Result<(), RoutesError> {
        let json = self.all.table().map(|table| routes::encode(&table)).transpose()?;
        let since = &self.since;
        self.content = json.map(|json| Content { digest: digest(&json, since), json: json.into() });
        Ok(())
    }

    /// Leaves out branches until the table fits: their own passes say that they are.
    fn fit(&mut self) -> Vec<Uid> {
        let mut dropped = Vec::new();
        while self.encode().is_err() {
            let Some((uid, _)) = self.all.branches.pop_last() else { break };
            dropped.push(uid);
        }
        dropped
    }
}

impl Written {
    fn of(metadata: &ObjectMeta, digest: Digest) -> Self {
        Self {
            digest,
            uid: metadata.uid.clone(),
            fingerprint: Fingerprint::of(metadata),
            version: metadata.resource_version.clone(),
        }
    }
}

/// What happens now has happened by then.
fn next_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() + 1).unwrap_or(now)
}

fn digest(content: &str, since: &Since) -> Digest {
    Digest::of(format!("{content}\n{since}").as_bytes())
}

fn table_id(namespace: &Namespace) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: namespace.to_string(),
        name: TABLE_NAME.into(),
    }
}

fn service_id(namespace: &str, name: &str) -> ObjectId {
    ObjectId { group: String::new(), kind: "Service".into(), namespace: namespace.to_owned(), name: name.to_owned() }
}
