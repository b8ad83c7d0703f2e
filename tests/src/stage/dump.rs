//! Everything that lapdev has in a cluster, normalised: two runs that end in the same state have the same dump.
//!
//! What the API server or a controller makes up is left out (uids, versions, times, status, generated names), and the
//! random ids of environments and of the control plane are replaced by names.

use super::Error;
use crate::cluster::ApiCluster;
use lapdev_api::labels::ROUTER_TOKEN;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Made up by the API server or by controllers.
const VOLATILE: [&str; 7] =
    ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences", "selfLink"];

/// Kinds that controllers make from ours, with names of their own.
const DERIVED: [&str; 8] =
    ["Pod", "ReplicaSet", "ControllerRevision", "EndpointSlice", "Endpoints", "Event", "Lease", "PodMetrics"];

/// Controllers put one of each into every namespace, a moment after it appears; the ConfigMap holds this cluster's CA.
const FURNITURE: [&str; 2] = ["ConfigMap/kube-root-ca.crt", "ServiceAccount/default"];

/// The namespaces that carry our label.
pub async fn environment_namespaces(cluster: &ApiCluster) -> Result<Vec<String>, Error> {
    let list = namespaces(cluster).await?;
    Ok(list.iter().filter_map(|item| item.pointer("/metadata/name")?.as_str().map(str::to_owned)).collect())
}

async fn namespaces(cluster: &ApiCluster) -> Result<Vec<Value>, Error> {
    let list = cluster.kubectl(&["get", "namespaces", "-l", "lapdev.dev/environment", "-o", "json"], "").await?;
    let list: Value = serde_json::from_str(&list)?;
    Ok(items(&list).cloned().collect())
}

/// `kind/namespace/name` → the object, for the environments' namespaces and every object in them.
pub async fn dump(cluster: &ApiCluster) -> Result<BTreeMap<String, Value>, Error> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"], "").await?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let namespaces = namespaces(cluster).await?;
    let mut whole: BTreeMap<_, _> = namespaces.iter().map(|item| (name_of(item), normalise(item.clone()))).collect();
    for namespace in namespaces.iter().filter_map(|item| item.pointer("/metadata/name")?.as_str()) {
        let list = cluster.kubectl(&["get", &kinds.join(","), "-n", namespace, "-o", "json"], "").await?;
        let list: Value = serde_json::from_str(&list)?;
        let kept = items(&list).filter(|item| !is_derived(item));
        whole.extend(kept.map(|item| (name_of(item), normalise(item.clone()))));
    }
    let names = made_up_names(&whole);
    Ok(whole.into_iter().map(|(key, value)| (rename(&key, &names), renamed(&value, &names))).collect())
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn is_derived(item: &Value) -> bool {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    DERIVED.contains(&kind) || FURNITURE.contains(&format!("{kind}/{name}").as_str())
}

fn name_of(item: &Value) -> String {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{}/{}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

fn normalise(mut item: Value) -> Value {
    if let Some(object) = item.as_object_mut() {
        object.remove("status");
        object.get_mut("metadata").and_then(Value::as_object_mut).into_iter().for_each(strip);
        object.get_mut("spec").and_then(Value::as_object_mut).into_iter().for_each(|spec| {
            for assigned in ["clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"] {
                spec.remove(assigned);
            }
        });
        // An ApplySet's parent keeps the compressed bundle, which holds the random uid.
        object.remove("binaryData");
        // … and beside it says what was accepted, which has the random uid and its digest as well.
        let parent = object.get("metadata").and_then(|metadata| metadata.pointer("/labels/applyset.kubernetes.io~1id"));
        if parent.is_some() {
            object.remove("data");
        }
    }
    item
}

fn strip(metadata: &mut Map<String, Value>) {
    for field in VOLATILE {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        // How often something was published, and the digest of bytes with a random uid in them, differ from run to run.
        for made_up in ["lapdev.dev/generation", "lapdev.dev/digest", "deployment.kubernetes.io/revision"] {
            annotations.remove(made_up);
        }
        // It follows from the cluster's token, which is random; that it is there does not differ.
        if let Some(digest) = annotations.get_mut(ROUTER_TOKEN) {
            *digest = Value::String("<digest>".to_owned());
        }
    }
}

/// Random id → name: of environments, from their ApplySets' parents, and of the control plane.
fn made_up_names(objects: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value, pointer: &str| Some(value.pointer(pointer)?.as_str()?.to_owned());
    let environment = |value: &Value| {
        let name = text(value, "/metadata/annotations/lapdev.dev~1environment-name")?;
        Some((text(value, "/metadata/labels/lapdev.dev~1environment")?, name))
    };
    let plane =
        |value: &Value| Some((text(value, "/metadata/labels/lapdev.dev~1control-plane")?, "control plane".to_owned()));
    objects.values().filter_map(plane).chain(objects.values().filter_map(environment)).collect()
}

fn rename(text: &str, names: &BTreeMap<String, String>) -> String {
    let text = names.iter().fold(text.to_owned(), |text, (uid, name)| text.replace(uid, &format!("<{name}>")));
    // An ApplySet's id is a hash of its parent's random name.
    match text.strip_prefix("applyset-") {
        Some(_) => "applyset-<hash>".to_owned(),
        None => text,
    }
}

fn renamed(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(rename(text, names)),
        Value::Array(list) => list.iter().map(|item| renamed(item, names)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (rename(key, names), renamed(item, names))).collect())
        }
        other => other.clone(),
    }
}
