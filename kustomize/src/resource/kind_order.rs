//! The order of types, by which the reference sorts objects and field specs.

use super::Gvk;

/// Kinds that come before all others, in this order, unless a kustomization says otherwise.
pub const KINDS_FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come after all others.
pub const KINDS_LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Where a kind stands among the kinds that have a place: before 0, at 0, or behind.
fn rank(kind: &str) -> isize {
    let at = |kinds: &[&str]| kinds.iter().position(|known| *known == kind).and_then(|at| isize::try_from(at).ok());
    let first = at(KINDS_FIRST).map(|at| at - KINDS_FIRST.len().cast_signed());
    first.or_else(|| at(KINDS_LAST).map(|at| at + 1)).unwrap_or(0)
}

impl Gvk {
    /// The type as one text to sort by; what is absent comes after what is there.
    pub fn order_text(&self) -> String {
        let or = |text: &str, stand_in: &str| if text.is_empty() { stand_in.to_owned() } else { text.to_owned() };
        format!("{}_{}_{}", or(&self.group, "~G"), or(&self.version, "~V"), or(&self.kind, "~K"))
    }

    /// What to sort types by.
    pub fn order_key(&self) -> (isize, String) {
        (rank(&self.kind), self.order_text())
    }
}
