//! The parent ConfigMap of an environment's ApplySet, written and read. Pure.

use crate::object::{GroupKind, Marks, annotation, label};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use lapdev_api::{
    bundle::{Bundle, Identity},
    digest::Digest,
    labels,
    name::{ControlPlaneId, Generation, Namespace, Uid},
    wire::MAX_BUNDLE,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
};

/// The largest compressed bundle that a parent keeps, in bytes: a ConfigMap holds at most 1 MiB.
pub const MAX_HELD_BUNDLE: usize = 900 << 10;

const BUNDLE: &str = "bundle.json.gz";
const GENERATION: &str = "generation";
const DIGEST: &str = "digest";
const IDENTITY: &str = "identity";
const TOMBSTONE: &str = "tombstone";
const EXPIRES: &str = "expiresAt";

/// A published state of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its generation.
    pub generation: Generation,
    /// Its bundle's digest.
    pub digest: Digest,
}

/// The end of an environment, kept until everything of it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The tombstone's generation.
    pub generation: Generation,
    /// Why it ended.
    pub evidence: String,
}

/// What an ApplySet's parent says.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// Whose.
    pub control_plane: ControlPlaneId,
    /// Which environment.
    pub identity: Identity,
    /// Where its objects are.
    pub namespace: Namespace,
    /// The kinds that the set may contain.
    pub kinds: BTreeSet<GroupKind>,
    /// What was last accepted.
    pub accepted: Version,
    /// What was last applied in full.
    pub applied: Option<Version>,
    /// Its end, if it came.
    pub tombstone: Option<Tombstone>,
    /// When its ttl ends: beside the bundle, since that may not fit.
    pub expires_at: Option<Timestamp>,
    /// The accepted bundle's canonical JSON, where it fits and can be read back.
    pub bundle: Option<Vec<u8>>,
}

/// Why a parent cannot be read. It is then left alone: nothing is deleted on a guess.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// A label, annotation or key is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// One is there but makes no sense.
    #[error("its {what} makes no sense")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Parent {
    /// The environment's uid.
    #[must_use]
    pub fn uid(&self) -> &Uid {
        &self.identity.uid
    }

    /// The labels of the set's members.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks { control_plane: self.control_plane.clone(), uid: self.identity.uid.clone() }
    }

    /// The bundle, if it is held and its bytes have the accepted digest.
    #[must_use]
    pub fn read_bundle(&self) -> Option<Bundle> {
        let bytes = self.bundle.as_deref()?;
        (Digest::of(bytes) == self.accepted.digest).then(|| serde_json::from_slice(bytes).ok())?
    }

    /// The whole ConfigMap, for server-side apply.
    #[must_use]
    pub fn render(&self) -> Value {
        let kinds: Vec<_> = self.kinds.iter().map(ToString::to_string).collect();
        let mut annotations = json!({
            (labels::ENVIRONMENT_NAME): self.identity.name,
            (labels::APPLYSET_TOOLING): concat!("lapdev/v", env!("CARGO_PKG_VERSION")),
            (labels::APPLYSET_GROUP_KINDS): kinds.join(","),
        });
        if let Some(applied) = self.applied {
            annotations[labels::GENERATION] = applied.generation.to_string().into();
            annotations[labels::DIGEST] = applied.digest.to_string().into();
        }
        let identity = serde_json::to_string(&self.identity).expect("an identity has only string keys");
        let mut data = json!({
            (GENERATION): self.accepted.generation.to_string(),
            (DIGEST): self.accepted.digest.to_string(),
            (IDENTITY): identity,
        });
        if let Some(tombstone) = &self.tombstone {
            data[TOMBSTONE] = serde_json::to_string(tombstone).expect("a tombstone has only string keys").into();
        }
        if let Some(expires_at) = self.expires_at {
            data[EXPIRES] = expires_at.to_string().into();
        }
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": labels::parent_name(self.uid()),
                "namespace": self.namespace,
                "annotations": annotations,
                "labels": { (labels::APPLYSET_ID): super::id(&self.namespace, self.uid()) },
            },
            "data": data,
        });
        if let Some(packed) = self.bundle.as_deref().and_then(pack) {
            object["binaryData"] = json!({ (BUNDLE): data_encoding::BASE64.encode(&packed) });
        }
        self.marks().stamp(&mut object, None);
        object
    }

    /// Reads a parent.
    ///
    /// # Errors
    /// When it is none, or somebody changed what the agent must rely on.
    pub fn read(object: &ConfigMap) -> Result<Self, ParentError> {
        let metadata = &object.metadata;
        let data = |key: &'static str| {
            object.data.as_ref().and_then(|data| data.get(key)).ok_or(ParentError::Missing(key)).map(String::as_str)
        };
        let control_plane =
            label(metadata, labels::CONTROL_PLANE).ok_or(ParentError::Missing(labels::CONTROL_PLANE))?;
        let identity: Identity = parse_json(IDENTITY, data(IDENTITY)?)?;
        if metadata.name.as_deref() != Some(&labels::parent_name(&identity.uid)) {
            return Err(ParentError::Missing("name that fits its identity"));
        }
        let kinds = annotation(metadata, labels::APPLYSET_GROUP_KINDS)
            .ok_or(ParentError::Missing(labels::APPLYSET_GROUP_KINDS))?;
        let applied = match (annotation(metadata, labels::GENERATION), annotation(metadata, labels::DIGEST)) {
            (Some(generation), Some(digest)) => Some(version(generation, digest)?),
            _ => None,
        };
        let tombstone = data(TOMBSTONE).ok().map(|text| parse_json(TOMBSTONE, text)).transpose()?;
        let packed = object.binary_data.as_ref().and_then(|data| data.get(BUNDLE));
        Ok(Self {
            control_plane: parse(labels::CONTROL_PLANE, control_plane)?,
            identity,
            namespace: parse("namespace", metadata.namespace.as_deref().unwrap_or_default())?,
            kinds: kinds.split(',').filter(|kind| !kind.is_empty()).filter_map(|kind| kind.parse().ok()).collect(),
            accepted: version(data(GENERATION)?, data(DIGEST)?)?,
            applied,
            tombstone,
            expires_at: data(EXPIRES).ok().map(|text| parse(EXPIRES, text)).transpose()?,
            bundle: packed.and_then(|packed| unpack(&packed.0)),
        })
    }
}

fn version(generation: &str, digest: &str) -> Result<Version, ParentError> {
    Ok(Version { generation: Generation(parse(GENERATION, generation)?), digest: parse(DIGEST, digest)? })
}

fn parse<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, ParentError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|source: T::Err| ParentError::Unreadable { what, source: source.into() })
}

fn parse_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, ParentError> {
    serde_json::from_str(text).map_err(|source| ParentError::Unreadable { what, source: source.into() })
}

/// Compressed, if that fits into a ConfigMap.
fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok().filter(|packed| packed.len() <= MAX_HELD_BUNDLE)
}

/// Decompressed; none when it is damaged or larger than any bundle may be.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX) + 1;
    GzDecoder::new(packed).take(limit).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MAX_BUNDLE).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bundle;

    fn parent(bundle: Bundle) -> Parent {
        let identity = bundle.environment.clone();
        let canonical = bundle.canonical();
        let version = Version { generation: Generation(7), digest: canonical.digest() };
        Parent {
            control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            identity,
            namespace: "lapdev-env-staging".parse().expect("legal"),
            kinds: ["ConfigMap", "Deployment.apps"].iter().filter_map(|kind| kind.parse().ok()).collect(),
            accepted: version,
            applied: Some(Version { generation: Generation(6), digest: Digest::of(b"before") }),
            tombstone: None,
            expires_at: None,
            bundle: Some(canonical.into_bytes()),
        }
    }

    fn read_back(parent: &Parent) -> Result<Parent, ParentError> {
        let object: ConfigMap = serde_json::from_value(parent.render()).expect("a ConfigMap");
        Parent::read(&object)
    }

    #[test]
    fn a_parent_is_read_as_it_was_written() {
        let mut parent = parent(bundle(vec![json!({"kind": "ConfigMap"})]));
        assert_eq!(read_back(&parent).expect("readable"), parent);
        assert_eq!(
            read_back(&parent).expect("readable").read_bundle(),
            Some(bundle(vec![json!({"kind": "ConfigMap"})]))
        );
        parent.applied = None;
        parent.expires_at = Some("2026-11-21T08:00:00Z".parse().expect("a time"));
        parent.tombstone = Some(Tombstone { generation: Generation(8), evidence: "branch x is gone".into() });
        assert_eq!(read_back(&parent).expect("readable"), parent);
    }

    #[test]
    fn a_bundle_that_does_not_fit_is_not_held_but_its_generation_is() {
        // Hash output does not compress.
        let noise: String = (0..20_000u32).map(|n| Digest::of(&n.to_be_bytes()).to_string()).collect();
        let parent = parent(bundle(vec![json!({"data": noise.repeat(2)})]));
        let read = read_back(&parent).expect("readable");
        assert_eq!(read.bundle, None);
        assert_eq!(read.accepted, parent.accepted);
    }

    #[test]
    fn a_damaged_parent_is_an_error_and_a_damaged_bundle_is_none() {
        let good = parent(bundle(vec![]));
        let mut damaged: ConfigMap = serde_json::from_value(good.render()).expect("a ConfigMap");
        damaged.binary_data = None;
        assert_eq!(Parent::read(&damaged).expect("readable").read_bundle(), None);
        let mut other = good.clone();
        other.bundle = Some(b"{}".to_vec());
        assert_eq!(read_back(&other).expect("readable").read_bundle(), None);
        damaged.data = None;
        assert!(Parent::read(&damaged).is_err());
        damaged = serde_json::from_value(good.render()).expect("a ConfigMap");
        damaged.metadata.name = Some("lapdev-cccccccccccccccc".into());
        assert!(Parent::read(&damaged).is_err(), "a copied parent is nobody's");
    }
}
