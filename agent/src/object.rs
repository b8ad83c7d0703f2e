//! Names and marks of objects: what an object is called, whose it is, and the labels that say so. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::GroupVersionKind;
use lapdev_api::{
    bundle::Bundle,
    labels,
    name::{ControlPlaneId, Uid},
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// A group and a kind, written `Kind.group` as KEP-3659 does (`Kind` alone in the core group).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

impl FromStr for GroupKind {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { group: group.to_owned(), kind: kind.to_owned() })
    }
}

/// Which object: the same whatever version of its kind is spoken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectId {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectId {
    /// The object's group and kind.
    #[must_use]
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// An object of a bundle with its names parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Which object.
    pub id: ObjectId,
    /// The version that it is written in.
    pub version: String,
    /// All of it.
    pub value: Value,
}

impl Desired {
    /// Reads the names of an object; none when one of them is missing.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let api_version = text("/apiVersion")?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let id = ObjectId {
            group: group.to_owned(),
            kind: text("/kind")?.to_owned(),
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: text("/metadata/name")?.to_owned(),
        };
        Some(Self { id, version: version.to_owned(), value: value.clone() })
    }

    /// Group, version and kind.
    #[must_use]
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::gvk(&self.id.group, &self.version, &self.id.kind)
    }
}

/// The labels that make an object one environment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Whose environment.
    pub control_plane: ControlPlaneId,
    /// Which environment.
    pub uid: Uid,
}

/// Whose an existing object is, as its labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This environment's.
    Ours,
    /// Another environment's of the same control plane.
    Sibling(String),
    /// Another control plane's.
    OtherControlPlane(String),
    /// It carries no label of ours.
    Foreign,
}

impl Marks {
    /// The marks of a bundle's objects.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        Self { control_plane: bundle.control_plane.clone(), uid: bundle.environment.uid.clone() }
    }

    /// The marks that an object carries; none when it carries none of ours.
    #[must_use]
    pub fn read(metadata: &ObjectMeta) -> Option<Self> {
        let read = |key: &str| label(metadata, key);
        Some(Self {
            control_plane: read(labels::CONTROL_PLANE)?.parse().ok()?,
            uid: read(labels::ENVIRONMENT)?.parse().ok()?,
        })
    }

    /// Whose an object with this metadata is.
    #[must_use]
    pub fn standing(&self, metadata: &ObjectMeta) -> Standing {
        match (label(metadata, labels::CONTROL_PLANE), label(metadata, labels::ENVIRONMENT)) {
            (Some(plane), _) if plane != self.control_plane.as_str() => Standing::OtherControlPlane(plane.to_owned()),
            (Some(_), Some(uid)) if uid == self.uid.as_str() => Standing::Ours,
            (Some(_), Some(uid)) => Standing::Sibling(uid.to_owned()),
            _ => Standing::Foreign,
        }
    }

    /// Writes the marks on an object, and the ApplySet that it is a member of.
    pub fn stamp(&self, object: &mut Value, part_of: Option<&str>) {
        let mut set = |key: &str, value: &str| {
            if let Some(labels) = child(object, "metadata").and_then(|metadata| child(metadata, "labels")) {
                labels[key] = Value::String(value.to_owned());
            }
        };
        set(labels::CONTROL_PLANE, self.control_plane.as_str());
        set(labels::ENVIRONMENT, self.uid.as_str());
        if let Some(part_of) = part_of {
            set(labels::APPLYSET_PART_OF, part_of);
        }
    }

    /// The label selector for every object of this environment.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{}={},{}={}", labels::CONTROL_PLANE, self.control_plane, labels::ENVIRONMENT, self.uid)
    }
}

/// The value of a label.
#[must_use]
pub fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// The value of an annotation.
#[must_use]
pub fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The mapping under `key`, made where it is missing or null; none where something else stands.
fn child<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let child = value.as_object_mut()?.entry(key).or_insert(Value::Null);
    if child.is_null() {
        *child = Value::Object(Map::new());
    }
    child.is_object().then_some(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marks() -> Marks {
        Marks {
            control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            uid: "bbbbbbbbbbbbbbbb".parse().expect("legal"),
        }
    }

    fn metadata(pairs: &[(&str, &str)]) -> ObjectMeta {
        let labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }
    }

    #[test]
    fn an_object_is_ours_only_with_both_labels() {
        let plane = (labels::CONTROL_PLANE, "aaaaaaaaaaaaaaaa");
        let uid = (labels::ENVIRONMENT, "bbbbbbbbbbbbbbbb");
        assert_eq!(marks().standing(&metadata(&[plane, uid])), Standing::Ours);
        assert_eq!(marks().standing(&metadata(&[plane])), Standing::Foreign);
        assert_eq!(marks().standing(&metadata(&[uid])), Standing::Foreign);
        assert_eq!(marks().standing(&ObjectMeta::default()), Standing::Foreign);
        let sibling = metadata(&[plane, (labels::ENVIRONMENT, "cccccccccccccccc")]);
        assert_eq!(marks().standing(&sibling), Standing::Sibling("cccccccccccccccc".into()));
        let other = metadata(&[(labels::CONTROL_PLANE, "dddddddddddddddd"), uid]);
        assert_eq!(marks().standing(&other), Standing::OtherControlPlane("dddddddddddddddd".into()));
    }

    #[test]
    fn marks_are_written_whether_or_not_there_were_labels() {
        let mut bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": null}});
        marks().stamp(&mut bare, Some("applyset-x-v1"));
        assert_eq!(bare["metadata"]["labels"][labels::ENVIRONMENT], "bbbbbbbbbbbbbbbb");
        assert_eq!(bare["metadata"]["labels"][labels::APPLYSET_PART_OF], "applyset-x-v1");
        let mut labelled = json!({"metadata": {"labels": {"app": "web"}}});
        marks().stamp(&mut labelled, None);
        assert_eq!(labelled["metadata"]["labels"]["app"], "web");
        assert_eq!(labelled["metadata"]["labels"][labels::CONTROL_PLANE], "aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn group_kinds_are_written_as_the_kep_does() {
        for text in ["ConfigMap", "Deployment.apps", "HTTPRoute.gateway.networking.k8s.io"] {
            let parsed: GroupKind = text.parse().expect("infallible");
            assert_eq!(parsed.to_string(), text);
        }
    }
}
