//! One writer per field: what to do when an unforced apply meets another owner (DESIGN, invariant 10). Pure.
//!
//! Managers whose operation is Update have drifted from what is declared and are put back, but `replicas` that came
//! through the scale subresource is the scaler's. A manager whose operation is Apply declares the field as we do: it is
//! named and not fought.

use crate::apply::path;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::core::Status;
use lapdev_api::labels::FIELD_MANAGER;
use std::collections::BTreeSet;

/// One field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field, in the API server's notation.
    pub field: String,
    /// The API server's sentence about it.
    pub message: String,
}

/// What to do about the conflicts of one object.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Fields that are left out of the apply.
    pub leave: BTreeSet<String>,
    /// Whether what is left is forced.
    pub force: bool,
    /// What people should know.
    pub notices: BTreeSet<String>,
}

/// The conflicts in an API server's answer; none when it is about something else.
#[must_use]
pub fn conflicts(status: &Status) -> Vec<Conflict> {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let of_managers = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
    of_managers.map(|cause| Conflict { field: cause.field.clone(), message: cause.message.clone() }).collect()
}

/// Decides for each conflict, from the managers that the live object itself names.
#[must_use]
pub fn resolve(object: &str, conflicts: &[Conflict], live: &ObjectMeta) -> Resolution {
    let mut resolution = Resolution::default();
    for conflict in conflicts {
        let owners = owners(live, &conflict.field);
        let names = |owners: &[&ManagedFieldsEntry]| {
            let names: BTreeSet<_> = owners.iter().filter_map(|owner| owner.manager.as_deref()).collect();
            names.into_iter().collect::<Vec<_>>().join(", ")
        };
        let field = conflict.field.trim_start_matches('.');
        let declared: Vec<_> = owners.iter().copied().filter(|owner| !is_update(owner)).collect();
        if owners.is_empty() || !declared.is_empty() {
            // Without a known owner nothing proves that this is drift, so it is not fought either.
            let who = if declared.is_empty() { conflict.message.clone() } else { names(&declared) };
            resolution.leave.insert(conflict.field.clone());
            resolution.notices.insert(format!("{object}: {field} is declared by {who}; left as it is"));
        } else if is_replicas(&conflict.field) && owners.iter().any(|owner| is_scaler(owner)) {
            resolution.leave.insert(conflict.field.clone());
            resolution.notices.insert(format!("{object}: {field} is held by {}; left to it", names(&owners)));
        } else {
            resolution.force = true;
            resolution.notices.insert(format!("{object}: {field} was changed by {}; put back", names(&owners)));
        }
    }
    resolution
}

fn owners<'a>(live: &'a ObjectMeta, field: &str) -> Vec<&'a ManagedFieldsEntry> {
    let entries = live.managed_fields.as_deref().unwrap_or_default();
    let others = entries.iter().filter(|entry| is_update(entry) || entry.manager.as_deref() != Some(FIELD_MANAGER));
    others.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| path::owns(&fields.0, field))).collect()
}

fn is_update(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some("Update")
}

fn is_replicas(field: &str) -> bool {
    field == ".spec.replicas"
}

/// The scale subresource, or an autoscaler that writes the object itself.
fn is_scaler(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.subresource.as_deref() == Some("scale")
        || ["horizontal-pod-autoscaler", "keda-operator", "keda"].contains(&manager)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    const IMAGE: &str = r#".spec.template.spec.containers[name="web"].image"#;

    fn entry(
        manager: &str,
        operation: &str,
        subresource: Option<&str>,
        fields: serde_json::Value,
    ) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            subresource: subresource.map(Into::into),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn decide(field: &str, owner: ManagedFieldsEntry) -> Resolution {
        let all = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}}});
        let ours = entry(FIELD_MANAGER, "Apply", None, all);
        let live = ObjectMeta { managed_fields: Some(vec![ours, owner]), ..ObjectMeta::default() };
        let conflict = Conflict { field: field.into(), message: "conflict with \"x\"".into() };
        resolve("Deployment n/web", &[conflict], &live)
    }

    fn image() -> serde_json::Value {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}}})
    }

    fn replicas() -> serde_json::Value {
        json!({"f:spec": {"f:replicas": {}}})
    }

    #[test]
    fn an_update_is_drift_and_is_forced_back() {
        let resolution = decide(IMAGE, entry("kubectl-edit", "Update", None, image()));
        assert!(resolution.force && resolution.leave.is_empty());
        assert!(resolution.notices.iter().any(|notice| notice.contains("changed by kubectl-edit; put back")));
        assert!(decide(".spec.replicas", entry("kubectl-edit", "Update", None, replicas())).force);
    }

    #[test]
    fn the_scale_subresources_replicas_are_theirs() {
        for owner in [
            entry("kube-controller-manager", "Update", Some("scale"), replicas()),
            entry("keda-operator", "Update", None, replicas()),
        ] {
            let resolution = decide(".spec.replicas", owner);
            assert!(!resolution.force);
            assert_eq!(resolution.leave, BTreeSet::from([".spec.replicas".to_owned()]));
        }
    }

    #[test]
    fn an_apply_manager_is_named_and_not_fought() {
        let resolution = decide(IMAGE, entry("argocd", "Apply", None, image()));
        assert!(!resolution.force);
        assert_eq!(resolution.leave, BTreeSet::from([IMAGE.to_owned()]));
        assert!(resolution.notices.iter().any(|notice| notice.contains("declared by argocd")));
    }

    #[test]
    fn a_conflict_without_a_known_owner_is_not_fought() {
        let resolution = decide(".spec.paused", entry("someone", "Update", None, replicas()));
        assert!(!resolution.force && resolution.leave.contains(".spec.paused"));
    }
}
