//! Keeps the ConfigMap with each namespace's routing table as [`crate::routes`] says that it should be.
//!
//! Every pass brings in what its own environment contributes, and then whoever has the turn writes what all contributed so
//! far: of many that open at once, not each has to write. What others contribute is read once, when the namespace is first
//! met; so an agent that starts anew never writes less than there was.

use super::{
    Core, Work,
    converge::Trouble,
    table::{self, Contribution, State, Table, Written},
};
use crate::{
    apiserver::CallError,
    apply::apply_object,
    object::{Desired, Marks, ObjectId, Standing, label},
    registry::Environment,
    routes::{self, Contributions, Settings, Since},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::GroupVersionKind;
use lapdev_api::{
    key::EnvironmentKey,
    labels,
    name::{Namespace, Uid},
    route::{RoutingTable, TABLE_NAME},
};
use std::collections::BTreeMap;

impl Core {
    /// Brings the table of an environment's namespace to what the environment is now: held and as it stands in the cluster.
    pub(super) async fn route(&self, held: &Environment, work: &mut Work) -> Result<(), Trouble> {
        let table = self.tables.of(&held.namespace);
        self.complete(&table, &held.namespace).await?;
        let standing = self.standing_services(held).await?;
        let Some(session) = self.session() else { return Ok(()) };
        let settings = table.state().all.base.as_ref().map(|base| base.settings);
        let contribution = table::contribution(held, &session.control_plane, &standing, settings.unwrap_or_default())?;
        for other in table.state().take(&held.identity.uid, contribution)? {
            self.queue.add(&other);
        }
        let is_base_known = table.state().all.base.is_some();
        match held.identity.branch.as_ref().filter(|_| held.end.is_some() && !is_base_known) {
            Some(branch) => self.strike(&held.namespace, &table, &branch.key).await,
            None => self.write_table(&held.namespace, &table, work).await,
        }
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
            state.written = Some(Written::of(&metadata, table::digest(json.unwrap_or_default(), &since)));
            state.since = since;
            self.index.applied(&table_id(namespace), metadata);
        }
        let none = BTreeMap::new();
        let held: Vec<_> = self.registry().iter().map(|(_, held)| held.clone()).collect();
        for held in held.iter().filter(|held| held.namespace == *namespace) {
            let standing = services.get(held.identity.uid.as_str()).unwrap_or(&none);
            // One whose bundle cannot be read says so in its own pass.
            let read = table::contribution(held, &session.control_plane, standing, settings);
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
        let token = self.admin_key.token(namespace);
        let is_known = |written: &Written| written.token.as_ref() == Some(&token.digest());
        if written
            .as_ref()
            .is_some_and(|written| written.digest == content.digest && is_known(written) && stands(written))
        {
            return Ok(());
        }
        // What a watch says while the write is under way may be this very write.
        let seen = self.index.get(&id);
        let desired =
            Desired::read(&routes::render(namespace, &marks, &content.json, &since, &token)).expect("it is named");
        let known = written.as_ref().and_then(|written| written.uid.clone());
        let applied = apply_object(&self.api, &marks, &desired, known.as_deref()).await;
        let applied = applied.map_err(|error| self.sort_out(error))?;
        let now = Written::of(&applied.metadata, content.digest);
        let what = written.and_then(|before| table::drift(&before, seen.as_deref(), &now));
        table.state().written = Some(now);
        self.index.applied(&id, applied.metadata);
        work.drift.extend(applied.notices);
        if let Some(what) = what {
            tracing::info!(object = %id, what, "put back");
            work.drift.insert(format!("{id} {what}; put back"));
        }
        Ok(())
    }

    /// Takes the key of a branch that ends out of the table as it stands, while its base is not held and nothing else can be
    /// said of the table: or its requests would be held for pods that are gone, until the base is known again.
    async fn strike(&self, namespace: &Namespace, table: &Table, key: &EnvironmentKey) -> Result<(), Trouble> {
        let _turn = table.turn.lock().await;
        let (id, kind) = (table_id(namespace), self.config_maps().await?);
        if table.state().all.branches.values().any(|branch| branch.key == *key) {
            return Ok(());
        }
        let Some(found) = self.api.get(&kind, &id).await? else { return Ok(()) };
        let value = serde_json::to_value(&found).unwrap_or_default();
        let (json, since) = routes::read_back(&value);
        let standing = json.and_then(|json| serde_json::from_str::<RoutingTable>(json).ok());
        let ours = self.session().map(|session| session.control_plane);
        let marks = Marks::read(&found.metadata).filter(|marks| Some(&marks.control_plane) == ours.as_ref());
        let Some((mut standing, marks)) = standing.zip(marks) else { return Ok(()) };
        if standing.branches.remove(key).is_none() {
            return Ok(());
        }
        let json = routes::encode(&standing)?;
        let desired =
            Desired::read(&routes::render(namespace, &marks, &json, &since, &self.admin_key.token(namespace)))
                .expect("it is named");
        let applied = apply_object(&self.api, &marks, &desired, found.metadata.uid.as_deref()).await;
        let applied = applied.map_err(|error| self.sort_out(error))?;
        table.state().written = Some(Written::of(&applied.metadata, table::digest(&json, &since)));
        self.index.applied(&id, applied.metadata);
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
