//! Which watches the held environments need.

use super::{Core, bundle};
use crate::{
    apiserver::CallError,
    apply::namespace,
    object::{Desired, GroupKind},
    observe::{Depth, Watch},
};
use lapdev_api::labels;
use std::collections::{BTreeMap, BTreeSet, HashSet};

impl Core {
    /// Starts and stops watches so that they fit what is held. A kind that the API server does not know yet is left
    /// out; the pass that applies it finds out, and asks again.
    ///
    /// # Errors
    /// When the API server does not answer: then nothing is started or stopped, since to stop a watch is to forget.
    pub(super) async fn refresh_watches(&self) -> Result<(), CallError> {
        let Some(session) = self.session() else { return Ok(()) };
        let selector = format!("{}={}", labels::CONTROL_PLANE, session.control_plane);
        let mut watches = HashSet::new();
        let (kind, namespace) = (self.namespaces().await?, String::new());
        watches.insert(Watch { kind, namespace, depth: Depth::Metadata, selector: selector.clone() });
        for ((namespace, group_kind), depth) in self.depths() {
            let kind = match self.api.preferred_kind(&group_kind).await {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            // Pods and ReplicaSets are made by controllers, from templates that need not carry the label.
            let made = is_made(&group_kind);
            let selector = if made { String::new() } else { selector.clone() };
            watches.insert(Watch { kind, namespace, depth, selector });
        }
        self.watches.set(&watches);
        Ok(())
    }

    /// The depth at which each kind in each namespace must be seen.
    fn depths(&self) -> BTreeMap<(String, GroupKind), Depth> {
        let registry = self.registry();
        let mut depths = BTreeMap::new();
        for (_, held) in registry.iter() {
            let namespace = held.namespace.to_string();
            let Some(content) = &held.bundle else { continue };
            // In one that is not there yet nothing can be watched; the pass that makes it asks again.
            if self.index.get(&namespace::id(&namespace)).is_none() {
                continue;
            }
            let objects: Vec<_> = content.bundle.objects.iter().filter_map(Desired::read).collect();
            let mut need = |group_kind: GroupKind, depth: Depth| {
                let known = depths.entry((namespace.clone(), group_kind)).or_insert(depth);
                *known = depth.max(*known);
            };
            for object in &objects {
                need(object.id.group_kind(), depth(object));
            }
            if bundle::kinds(&objects).iter().any(runs_pods) {
                for made in made() {
                    need(made, Depth::Full);
                }
            }
            // The parent, and the agent's RoleBinding where it made the namespace.
            need(GroupKind { group: String::new(), kind: "ConfigMap".into() }, Depth::Metadata);
            if content.bundle.namespaces.iter().any(|namespace| namespace.owned) {
                let group = "rbac.authorization.k8s.io".to_owned();
                need(GroupKind { group, kind: "RoleBinding".into() }, Depth::Metadata);
            }
        }
        depths
    }
}

/// How much health reads of an object.
fn depth(object: &Desired) -> Depth {
    let load_balancer = object.value.pointer("/spec/type").is_some_and(|kind| kind == "LoadBalancer");
    let builtin = object.id.group.is_empty() || !object.id.group.contains('.') || object.id.group.ends_with(".k8s.io");
    match (object.id.group.as_str(), object.id.kind.as_str()) {
        ("apps", _) | ("batch", "Job") | ("", "Pod" | "PersistentVolumeClaim") => Depth::Full,
        ("", "Service") if load_balancer => Depth::Full,
        // Only kinds that others brought say how they are by conditions that kstatus would read.
        _ if !builtin => Depth::Full,
        _ => Depth::Metadata,
    }
}

fn runs_pods(kind: &GroupKind) -> bool {
    matches!(kind.group.as_str(), "apps" | "batch") || (kind.group.is_empty() && kind.kind == "Pod")
}

fn made() -> BTreeSet<GroupKind> {
    ["Pod", "ReplicaSet.apps"].iter().filter_map(|kind| kind.parse().ok()).collect()
}

fn is_made(kind: &GroupKind) -> bool {
    made().contains(kind)
}
