//! `sortOptions:` and the order of the output: the legacy order by kind, or as accumulated.

use crate::error::{Error, Problem};
use crate::kustomization::Field;
use crate::resource::{Id, Resource};
use std::collections::HashMap;

/// The order of the output.
#[derive(Clone, Debug)]
pub enum Order {
    /// As accumulated, depth first.
    Fifo,
    /// Some kinds first, some last, the others by type, namespace and name.
    Legacy { first: Vec<String>, last: Vec<String> },
}

impl Default for Order {
    /// What the reference's command does by default.
    fn default() -> Self {
        let owned = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Self::Legacy { first: owned(FIRST), last: owned(LAST) }
    }
}

const FIRST: &[&str] = &[
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

const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

impl Order {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["order", "legacySortOptions"])?;
        let legacy = fields.get("legacySortOptions");
        match (fields.string("order")?.as_str(), legacy) {
            ("fifo", None) => Ok(Self::Fifo),
            ("fifo", Some(options)) => {
                Err(options.error(Problem::Invalid("these options need `order: legacy`".to_owned())))
            }
            ("legacy", None) => Ok(Self::default()),
            ("legacy", Some(options)) => {
                let fields = options.mapping(&["orderFirst", "orderLast"])?;
                let kinds = |name| Ok(fields.texts(name)?.into_iter().map(|text| text.value).collect());
                Ok(Self::Legacy { first: kinds("orderFirst")?, last: kinds("orderLast")? })
            }
            (other, _) => {
                Err(field.error(Problem::Invalid(format!("the order `{other}` is neither `legacy` nor `fifo`"))))
            }
        }
    }

    /// Puts objects into this order.
    pub fn sort(&self, resources: &mut [Resource]) {
        let Self::Legacy { first, last } = self else { return };
        let mut ranks: HashMap<&str, i64> = HashMap::new();
        let rank = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        for (at, kind) in first.iter().enumerate() {
            ranks.insert(kind, rank(at) - rank(first.len()));
        }
        for (at, kind) in last.iter().enumerate() {
            ranks.insert(kind, rank(at) + 1);
        }
        resources.sort_by_cached_key(|resource| {
            let (id, namespace) = (resource.id(), resource.namespace());
            (ranks.get(id.gvk.kind.as_str()).copied().unwrap_or(0), type_key(&id), object_key(&id, namespace))
        });
    }
}

/// The reference compares these as one string, so the separators and stand-ins count.
fn type_key(id: &Id) -> String {
    let or = |text: &str, stand_in: &str| if text.is_empty() { stand_in.to_owned() } else { text.to_owned() };
    let gvk = &id.gvk;
    if gvk.kind == "Namespace" && gvk.group.is_empty() {
        // The real one comes before others that are called so.
        return String::new();
    }
    format!("{}_{}_{}", or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K"))
}

fn object_key(id: &Id, namespace: &str) -> String {
    let or = |text: &str, stand_in: &str| if text.is_empty() { stand_in.to_owned() } else { text.to_owned() };
    let gvk = &id.gvk;
    let kind = format!("{}.{}.{}", or(&gvk.kind, "[noKind]"), or(&gvk.version, "[noVer]"), or(&gvk.group, "[noGrp]"));
    format!("{kind}|{}|{}", or(namespace, "~X"), or(&id.name, "~N"))
}
