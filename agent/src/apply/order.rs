//! The order in which the objects of a bundle are applied: what others refer to comes first, and what is removed goes
//! the other way round. Pure.

use crate::object::{Desired, ObjectId};

/// Splits objects into stages; those of one stage may be applied at the same time.
#[must_use]
pub fn stages(objects: Vec<Desired>) -> Vec<Vec<Desired>> {
    let mut stages: Vec<(u8, Vec<Desired>)> = Vec::new();
    for object in objects {
        let rank = rank(&object.id);
        match stages.iter_mut().find(|(other, _)| *other == rank) {
            Some((_, stage)) => stage.push(object),
            None => stages.push((rank, vec![object])),
        }
    }
    stages.sort_by_key(|(rank, _)| *rank);
    stages.into_iter().map(|(_, stage)| stage).collect()
}

/// The stage of an object: identity and configuration, then bindings, Services, unknown kinds, workloads, and at last
/// what acts on workloads.
#[must_use]
pub fn rank(id: &ObjectId) -> u8 {
    match (id.group.as_str(), id.kind.as_str()) {
        ("", "ServiceAccount" | "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "ResourceQuota" | "LimitRange")
        | ("networking.k8s.io", "NetworkPolicy")
        | ("rbac.authorization.k8s.io", "Role") => 0,
        ("rbac.authorization.k8s.io", "RoleBinding") => 1,
        ("", "Service" | "Endpoints") | ("discovery.k8s.io", "EndpointSlice") => 2,
        ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => 4,
        ("autoscaling" | "policy" | "networking.k8s.io" | "gateway.networking.k8s.io", _) => 5,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(api_version: &str, kind: &str) -> Desired {
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "n"}});
        Desired::read(&value).expect("named")
    }

    #[test]
    fn configuration_comes_before_workloads_and_autoscalers_after() {
        let stages = stages(vec![
            object("autoscaling/v2", "HorizontalPodAutoscaler"),
            object("apps/v1", "Deployment"),
            object("example.com/v1", "Widget"),
            object("v1", "Service"),
            object("rbac.authorization.k8s.io/v1", "RoleBinding"),
            object("v1", "ConfigMap"),
            object("v1", "ServiceAccount"),
        ]);
        let kinds: Vec<Vec<&str>> =
            stages.iter().map(|stage| stage.iter().map(|object| object.id.kind.as_str()).collect()).collect();
        assert_eq!(
            kinds,
            [
                vec!["ConfigMap", "ServiceAccount"],
                vec!["RoleBinding"],
                vec!["Service"],
                vec!["Widget"],
                vec!["Deployment"],
                vec!["HorizontalPodAutoscaler"],
            ]
        );
    }
}
