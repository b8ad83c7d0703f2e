//! The desired state of one environment, as it travels: objects and what the agent must know to apply and guard them.
//!
//! A bundle is content-addressed: its digest is the SHA-256 of its canonical JSON (keys sorted, no white space, objects
//! sorted by group, kind, namespace and name). Generation and digest are not in it, or it could not be the same twice.

use crate::{
    digest::Digest,
    key::EnvironmentKey,
    kinds::{EnvironmentType, Port},
    name::{BranchRef, CatalogName, ControlPlaneId, EnvironmentName, Namespace, RepositoryId, RepositoryName, Uid},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The desired state of one environment in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// Whose objects these are.
    pub control_plane: ControlPlaneId,
    /// Which environment.
    pub environment: Identity,
    /// Which API server inside the cluster.
    pub target: Target,
    /// The namespaces that its objects are in. Today one.
    pub namespaces: Vec<BundleNamespace>,
    /// The services that the agent may dial for the preview gateway.
    pub previews: Vec<DialTarget>,
    /// When the agent ends it even if it hears nothing more.
    pub expires_at: Option<Timestamp>,
    /// Complete objects, namespaced, labelled, in canonical order.
    pub objects: Vec<Value>,
}

/// What an environment is, beyond its uid: enough for a hub that lost its store to adopt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// This life of it.
    pub uid: Uid,
    /// Its name.
    pub name: EnvironmentName,
    /// Its type.
    #[serde(rename = "type")]
    pub environment_type: EnvironmentType,
    /// Its catalog.
    pub catalog: CatalogName,
    /// Of a Branch: the key, and what it comes from.
    pub branch: Option<BranchIdentity>,
}

/// What a Branch environment comes from: one per (catalog, repository id, ref).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchIdentity {
    /// The routing key.
    pub key: EnvironmentKey,
    /// The base environment's name.
    pub base: EnvironmentName,
    /// The repository's rename-proof id.
    pub repository_id: RepositoryId,
    /// The repository as people write it.
    pub repository: RepositoryName,
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: BranchRef,
}

/// Which API server inside a cluster a bundle is for.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Target {
    /// The cluster's own.
    #[default]
    Host,
}

/// A namespace that a bundle's objects are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleNamespace {
    /// Its name.
    pub name: Namespace,
    /// Whether it is this environment's own (created and deleted with it) or its base's (must exist).
    pub owned: bool,
}

/// A Service port that the agent may dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DialTarget {
    /// The namespace.
    pub namespace: Namespace,
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: Port,
}

impl Bundle {
    /// Sorts the objects and writes canonical JSON.
    #[must_use]
    pub fn canonical(mut self) -> CanonicalBundle {
        self.objects.sort_by_cached_key(order);
        self.previews.sort();
        // serde_json's map is a BTreeMap here, so going through a Value sorts the keys of structs as well.
        let value = serde_json::to_value(&self).expect("a bundle has only string keys");
        let bytes = serde_json::to_vec(&value).expect("a JSON value can always be written");
        CanonicalBundle { digest: Digest::of(&bytes), bytes }
    }
}

/// A bundle's canonical bytes and their digest, which therefore agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalBundle {
    digest: Digest,
    bytes: Vec<u8>,
}

impl CanonicalBundle {
    /// The SHA-256 of [`Self::bytes`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The canonical JSON.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical JSON, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn order(object: &Value) -> (String, String, String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api_version = text("/apiVersion");
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
    (group, text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bundle(objects: &[Value]) -> Bundle {
        let environment = json!({"uid": "bbbbbbbbbbbbbbbb", "name": "staging", "type": "Shared", "catalog": "shop"});
        serde_json::from_value(
            json!({"controlPlane": "aaaaaaaaaaaaaaaa", "environment": environment, "target": {"type": "host"},
            "namespaces": [], "previews": [], "objects": objects}),
        )
        .expect("a bundle")
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_objects_or_keys() {
        let a = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "n"}});
        let b: Value = serde_json::from_str(
            r#"{"kind":"Deployment","metadata":{"namespace":"n","name":"b"},"apiVersion":"apps/v1"}"#,
        )
        .expect("JSON");
        let one = bundle(&[a.clone(), b.clone()]).canonical();
        let two = bundle(&[b, a]).canonical();
        assert_eq!(one.digest(), two.digest());
        assert_eq!(one.digest(), Digest::of(two.bytes()));
        let read: Bundle = serde_json::from_slice(one.bytes()).expect("its own JSON");
        assert_eq!(read.canonical(), one);
    }
}
