//! The objects that the watches saw, by name. A newer version never gives way to an older one, so that the answer to an
//! apply and the watch event that follows it may come in any order.

use crate::{
    drift::Fingerprint,
    object::{ObjectId, label},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{labels, name::Uid};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

/// One object as it was last seen.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its metadata, without `managedFields`.
    pub metadata: ObjectMeta,
    /// What it looks like beside its status.
    pub fingerprint: Fingerprint,
    /// All else of it, where it is watched in full.
    pub rest: Value,
}

impl Observed {
    /// Takes what is needed of an object.
    #[must_use]
    pub fn new(mut metadata: ObjectMeta, mut rest: Value) -> Self {
        let fingerprint = Fingerprint::of(&metadata);
        metadata.managed_fields = None;
        // The desired state is in the bundle; of the observed one only counts and conditions are read.
        if let Some(spec) = rest.get_mut("spec").and_then(Value::as_object_mut) {
            spec.retain(|_, value| !value.is_object() && !value.is_array() || is_strategy(value));
        }
        Self { metadata, fingerprint, rest }
    }

    /// Resource versions of one kind are ordered; one that cannot be read is older than any.
    fn version(&self) -> u64 {
        version(&self.metadata)
    }
}

/// `spec.updateStrategy` is the one nested field that health reads.
fn is_strategy(value: &Value) -> bool {
    value.get("rollingUpdate").is_some() || value.get("type").is_some_and(Value::is_string)
}

fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// Everything that the watches saw.
#[derive(Debug, Default)]
pub struct Index {
    objects: RwLock<BTreeMap<ObjectId, Arc<Observed>>>,
    /// The scopes whose watch has listed them: what is not among their objects does not exist.
    listed: RwLock<BTreeSet<ObjectId>>,
}

impl Index {
    /// One object.
    #[must_use]
    pub fn get(&self, id: &ObjectId) -> Option<Arc<Observed>> {
        self.read().get(id).cloned()
    }

    /// Whether the watch of a kind in a namespace has listed it: then what is not here is not there.
    #[must_use]
    pub fn is_listed(&self, group: &str, kind: &str, namespace: &str) -> bool {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        listed.contains(&scope(group, kind, namespace))
    }

    /// All objects of a kind in a namespace.
    #[must_use]
    pub fn of_kind(&self, group: &str, kind: &str, namespace: &str) -> Vec<(ObjectId, Arc<Observed>)> {
        let first = scope(group, kind, namespace);
        let objects = self.read();
        let range = objects.range(first.clone()..).take_while(|(id, _)| same_scope(id, &first));
        range.map(|(id, observed)| (id.clone(), observed.clone())).collect()
    }

    /// An object was seen; false when a newer version of it is known.
    pub fn put(&self, id: ObjectId, observed: Observed) -> bool {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if objects.get(&id).is_some_and(|known| known.version() > observed.version()) {
            return false;
        }
        objects.insert(id, Arc::new(observed));
        true
    }

    /// An apply was answered with this metadata: what else is known of the object stays until its watch says more.
    pub fn applied(&self, id: &ObjectId, metadata: ObjectMeta) {
        let same = self.get(id).filter(|known| known.metadata.uid == metadata.uid);
        let rest = same.map_or(Value::Null, |known| known.rest.clone());
        self.put(id.clone(), Observed::new(metadata, rest));
    }

    /// An object was deleted; the deletion has a version of its own.
    pub fn remove(&self, id: &ObjectId, deleted: &ObjectMeta) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if objects.get(id).is_some_and(|known| known.version() <= version(deleted)) {
            objects.remove(id);
        }
    }

    /// A listing of a whole scope: what is not in it is gone. Returns what changed, came or went.
    pub fn replace(
        &self,
        (group, kind, namespace): (&str, &str, &str),
        listed: Vec<(ObjectId, Observed)>,
    ) -> Vec<(ObjectId, Arc<Observed>)> {
        let names: BTreeSet<_> = listed.iter().map(|(id, _)| id.clone()).collect();
        let known = self.of_kind(group, kind, namespace);
        let gone: Vec<_> = known.into_iter().filter(|(id, _)| !names.contains(id)).collect();
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        for (id, _) in &gone {
            objects.remove(id);
        }
        drop(objects);
        let mut changed = gone;
        for (id, observed) in listed {
            if self.put(id.clone(), observed)
                && let Some(observed) = self.get(&id)
            {
                changed.push((id, observed));
            }
        }
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        listed.insert(scope(group, kind, namespace));
        changed
    }

    /// Forgets a scope that is watched no longer.
    pub fn forget(&self, (group, kind, namespace): (&str, &str, &str)) {
        let first = scope(group, kind, namespace);
        self.listed.write().unwrap_or_else(PoisonError::into_inner).remove(&first);
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|id, _| !same_scope(id, &first));
    }

    /// Which environment an object belongs to: by its own label, else by that of what owns it.
    #[must_use]
    pub fn environment_of(&self, namespace: &str, metadata: &ObjectMeta) -> Option<Uid> {
        let mut metadata = metadata.clone();
        // Deployment, ReplicaSet, pod; CronJob, Job, pod: no chain of owners is longer.
        for _ in 0..4 {
            if let Some(uid) = label(&metadata, labels::ENVIRONMENT).and_then(|uid| uid.parse().ok()) {
                return Some(uid);
            }
            let owner = metadata.owner_references?.into_iter().find(|owner| owner.controller == Some(true))?;
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            let id = ObjectId {
                group: group.to_owned(),
                kind: owner.kind,
                namespace: namespace.to_owned(),
                name: owner.name,
            };
            metadata = self.get(&id)?.metadata.clone();
        }
        None
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ObjectId, Arc<Observed>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first name of a kind in a namespace, in the map's order.
fn scope(group: &str, kind: &str, namespace: &str) -> ObjectId {
    ObjectId { group: group.to_owned(), kind: kind.to_owned(), namespace: namespace.to_owned(), name: String::new() }
}

fn same_scope(id: &ObjectId, scope: &ObjectId) -> bool {
    id.group == scope.group && id.kind == scope.kind && id.namespace == scope.namespace
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use serde_json::json;

    fn id(kind: &str, name: &str) -> ObjectId {
        ObjectId { name: name.into(), ..scope("apps", kind, "n") }
    }

    fn seen(version: &str) -> Observed {
        Observed::new(ObjectMeta { resource_version: Some(version.into()), ..ObjectMeta::default() }, Value::Null)
    }

    #[test]
    fn an_older_version_never_wins() {
        let index = Index::default();
        assert!(index.put(id("Deployment", "a"), seen("10")));
        assert!(!index.put(id("Deployment", "a"), seen("9")), "9 < 10 though \"9\" > \"10\"");
        index.remove(&id("Deployment", "a"), &seen("9").metadata);
        assert!(index.get(&id("Deployment", "a")).is_some(), "an older life was deleted");
        index.remove(&id("Deployment", "a"), &seen("11").metadata);
        assert!(index.get(&id("Deployment", "a")).is_none());
    }

    #[test]
    fn a_listing_replaces_its_scope_alone() {
        let index = Index::default();
        index.put(id("Deployment", "a"), seen("1"));
        index.put(id("Deployment", "b"), seen("1"));
        index.put(id("StatefulSet", "a"), seen("1"));
        assert!(!index.is_listed("apps", "Deployment", "n"));
        let changed = index.replace(("apps", "Deployment", "n"), vec![(id("Deployment", "b"), seen("2"))]);
        assert!(index.is_listed("apps", "Deployment", "n") && !index.is_listed("apps", "Deployment", "m"));
        let names: Vec<_> = changed.iter().map(|(id, _)| id.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(index.get(&id("Deployment", "a")).is_none());
        assert!(index.get(&id("StatefulSet", "a")).is_some());
        index.forget(("apps", "Deployment", "n"));
        assert!(!index.is_listed("apps", "Deployment", "n"));
    }

    #[test]
    fn a_pod_belongs_to_its_deployments_environment() {
        let index = Index::default();
        let owned = |kind: &str, name: &str| ObjectMeta {
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".into(),
                kind: kind.into(),
                name: name.into(),
                controller: Some(true),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        };
        let labelled = ObjectMeta {
            labels: Some([(labels::ENVIRONMENT.to_owned(), "bbbbbbbbbbbbbbbb".to_owned())].into()),
            ..ObjectMeta::default()
        };
        index.put(id("Deployment", "web"), Observed::new(labelled, Value::Null));
        index.put(id("ReplicaSet", "web-1"), Observed::new(owned("Deployment", "web"), Value::Null));
        let uid = index.environment_of("n", &owned("ReplicaSet", "web-1"));
        assert_eq!(uid.expect("found").as_str(), "bbbbbbbbbbbbbbbb");
        assert_eq!(index.environment_of("n", &owned("ReplicaSet", "other")), None);
        assert_eq!(index.environment_of("n", &ObjectMeta::default()), None);
    }

    #[test]
    fn only_what_health_reads_is_kept() {
        let rest = json!({"spec": {"replicas": 2, "template": {"spec": {}}, "containers": [{"name": "web"}],
            "updateStrategy": {"type": "OnDelete"}}, "status": {"conditions": []}});
        let kept = Observed::new(ObjectMeta::default(), rest).rest;
        let expected =
            json!({"spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, "status": {"conditions": []}});
        assert_eq!(kept, expected);
    }
}
