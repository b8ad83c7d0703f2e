//! Reading and writing the few places in Kubernetes objects that the renderer cares about.

use lapdev_kustomize::Object;
use serde_json::{Map, Value};

/// The kinds whose `spec.selector.matchLabels` must match their own pod template.
const SELECTING: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

/// An object and where it was read, for messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced {
    /// The object.
    pub value: Value,
    /// `file:line:column`.
    pub place: String,
}

impl From<Object> for Sourced {
    fn from(object: Object) -> Self {
        let place = object.place().to_string();
        Self { value: object.into_value(), place }
    }
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The API group; empty for the core.
pub(super) fn group(object: &Value) -> &str {
    text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
}

/// Whether a branch can run a copy of it.
pub(super) fn is_workload(object: &Value) -> bool {
    group(object) == "apps" && matches!(kind(object), "Deployment" | "StatefulSet")
}

/// Whether its `spec.selector` is a label selector over the pods of its own template.
pub(super) fn selects_own_pods(object: &Value) -> bool {
    group(object) == "apps" && SELECTING.contains(&kind(object))
}

/// The pod template's `metadata` and `spec`, of every built-in kind that has one; of a Pod, itself.
pub(super) fn pod_template_mut(object: &mut Value) -> Option<&mut Value> {
    let pointer = template_pointer(object)?;
    object.pointer_mut(pointer)
}

/// The same for reading.
pub(super) fn pod_template(object: &Value) -> Option<&Value> {
    object.pointer(template_pointer(object)?)
}

/// Where the pod template of an object of this kind is.
pub(super) fn template_pointer(object: &Value) -> Option<&'static str> {
    match (group(object), kind(object)) {
        ("apps", kind) if SELECTING.contains(&kind) => Some("/spec/template"),
        ("batch", "Job") | ("", "ReplicationController" | "PodTemplate") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        ("", "Pod") => Some(""),
        _ => None,
    }
}

/// The mapping at these keys, made where it is missing.
pub(super) fn mapping<'a>(object: &'a mut Value, keys: &[&str]) -> &'a mut Map<String, Value> {
    let mut at = object;
    for key in keys {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*key];
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    at.as_object_mut().expect("it was just made one")
}

/// Containers and init containers of a pod template.
pub(super) fn containers_mut(template: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = template.get_mut("spec").and_then(Value::as_object_mut);
    spec.into_iter()
        .flat_map(|spec| spec.iter_mut())
        .filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

/// Sets a variable in place, or in front of all others, which may then refer to it.
pub(super) fn set_variable(container: &mut Value, variable: &str, value: &str) {
    let wanted = serde_json::json!({ "name": variable, "value": value });
    if !container["env"].is_array() {
        container["env"] = Value::Array(Vec::new());
    }
    let variables = container["env"].as_array_mut().expect("it was just made one");
    match variables.iter_mut().find(|known| text(known, "/name") == variable) {
        Some(known) => *known = wanted,
        None => variables.insert(0, wanted),
    }
}
