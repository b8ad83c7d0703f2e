//! The label scheme, which is for ever: `lapdev.dev/branch` in pod templates and in the selectors of workloads,
//! Services and PodDisruptionBudgets; the environment's uid and the control plane's id on every object and pod, and in
//! no selector.

use super::{
    Context,
    object::{group, kind, mapping, name, pod_template_mut, selects_own_pods, text},
};
use lapdev_api::labels;
use serde_json::{Map, Value};

/// Puts an object into its environment: namespace, owner, and `key` as the branch of whatever runs or selects pods.
pub(super) fn put(object: &mut Value, context: &Context, key: &str) {
    let namespace = Value::from(context.namespace.as_str());
    mapping(object, &["metadata"]).insert("namespace".to_owned(), namespace);
    own(object, context);
    if let Some(template) = pod_template_mut(object) {
        own(template, context);
        let labels = mapping(template, &["metadata", "labels"]);
        labels.insert(labels::BRANCH.to_owned(), Value::from(key));
    }
    select(object, key);
    own_nested(object, context);
    place_subjects(object, context);
}

fn own(object: &mut Value, context: &Context) {
    let labels = mapping(object, &["metadata", "labels"]);
    labels.insert(labels::ENVIRONMENT.to_owned(), Value::from(context.identity.uid.as_str()));
    labels.insert(labels::CONTROL_PLANE.to_owned(), Value::from(context.control_plane.as_str()));
}

fn select(object: &mut Value, key: &str) {
    if selects_own_pods(object) {
        set_branch(mapping(object, &["spec", "selector", "matchLabels"]), key);
        return;
    }
    match (group(object), kind(object)) {
        // Without a selector its endpoints are somebody's own, and an ExternalName has none.
        ("", "Service" | "ReplicationController") => {
            let selector = object.pointer_mut("/spec/selector").and_then(Value::as_object_mut);
            if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
                set_branch(selector, key);
            }
        }
        // An empty selector means every pod of the namespace, a missing one none.
        ("policy", "PodDisruptionBudget") if object.pointer("/spec/selector").is_some_and(Value::is_object) => {
            set_branch(mapping(object, &["spec", "selector", "matchLabels"]), key);
        }
        _ => {}
    }
}

fn set_branch(selector: &mut Map<String, Value>, key: &str) {
    selector.insert(labels::BRANCH.to_owned(), Value::from(key));
}

/// What controllers make of templates carries the owner as well: volume claims, and the jobs of a CronJob.
fn own_nested(object: &mut Value, context: &Context) {
    if let Some(job) = object.pointer_mut("/spec/jobTemplate") {
        own(job, context);
    }
    let claims = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    claims.into_iter().flatten().for_each(|claim| own(claim, context));
}

/// A RoleBinding must say where its ServiceAccounts are, which in the source cannot be known.
fn place_subjects(object: &mut Value, context: &Context) {
    if kind(object) != "RoleBinding" {
        return;
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if text(subject, "/kind") == "ServiceAccount"
            && text(subject, "/namespace").is_empty()
            && !name_of(subject).is_empty()
        {
            subject["namespace"] = Value::from(context.namespace.as_str());
        }
    }
}

fn name_of(subject: &Value) -> &str {
    debug_assert!(name(subject).is_empty(), "a subject has its name at the top");
    text(subject, "/name")
}
