//! What a bundle must be before it is accepted, and its objects made ready to apply. Pure.

use crate::{
    applyset,
    object::{Desired, GroupKind, Marks, ObjectId},
};
use lapdev_api::{
    bundle::Bundle,
    name::{ControlPlaneId, Namespace},
    wire::ClusterPolicy,
};
use std::collections::BTreeSet;

/// Why a bundle may not be applied here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BundleError {
    #[error("it is of control plane {0}, not of this session's")]
    ControlPlane(ControlPlaneId),
    #[error("it names {0} namespaces; this agent holds exactly one for each environment")]
    Namespaces(usize),
    #[error("namespace {namespace} does not begin with the cluster's prefix {prefix:?}")]
    Prefix { namespace: Namespace, prefix: String },
    #[error("its object {0} has no apiVersion, kind or name")]
    Nameless(usize),
    #[error("{0} is in none of its namespaces")]
    OutOfScope(ObjectId),
    #[error("{0} is in it twice")]
    Twice(ObjectId),
    #[error("{0} carries data: Secrets stay in their cluster; refer to one by external-secrets or SOPS")]
    SecretData(ObjectId),
    #[error("it declares a preview of Service {namespace}/{service}, which is in none of its namespaces")]
    Preview { namespace: Namespace, service: String },
}

/// Checks a bundle, and says in which namespace its environment is.
pub(super) fn check(
    bundle: &Bundle,
    control_plane: &ControlPlaneId,
    policy: Option<&ClusterPolicy>,
) -> Result<Namespace, BundleError> {
    if bundle.control_plane != *control_plane {
        return Err(BundleError::ControlPlane(bundle.control_plane.clone()));
    }
    let [namespace] = bundle.namespaces.as_slice() else {
        return Err(BundleError::Namespaces(bundle.namespaces.len()));
    };
    if let Some(policy) = policy.filter(|policy| !namespace.name.as_str().starts_with(&policy.namespace_prefix)) {
        let prefix = policy.namespace_prefix.clone();
        return Err(BundleError::Prefix { namespace: namespace.name.clone(), prefix });
    }
    if let Some(elsewhere) = bundle.previews.iter().find(|preview| preview.namespace != namespace.name) {
        let (namespace, service) = (elsewhere.namespace.clone(), elsewhere.service.clone());
        return Err(BundleError::Preview { namespace, service });
    }
    let mut seen = BTreeSet::new();
    for (position, value) in bundle.objects.iter().enumerate() {
        let object = Desired::read(value).ok_or(BundleError::Nameless(position))?;
        if object.id.namespace != namespace.name.as_str() {
            return Err(BundleError::OutOfScope(object.id));
        }
        if is_secret_with_data(&object) {
            return Err(BundleError::SecretData(object.id));
        }
        if !seen.insert(object.id.clone()) {
            return Err(BundleError::Twice(object.id));
        }
    }
    Ok(namespace.name.clone())
}

fn is_secret_with_data(object: &Desired) -> bool {
    let has = |key: &str| object.value.get(key).and_then(|data| data.as_object()).is_some_and(|data| !data.is_empty());
    object.id.group.is_empty() && object.id.kind == "Secret" && (has("data") || has("stringData"))
}

/// The bundle's objects, marked as the environment's and as members of its set.
pub(super) fn desired(bundle: &Bundle, namespace: &Namespace) -> Vec<Desired> {
    let (marks, set) = (Marks::of(bundle), applyset::id(namespace, &bundle.environment.uid));
    let objects = bundle.objects.iter().map(|value| {
        let mut value = value.clone();
        marks.stamp(&mut value, Some(&set));
        value
    });
    objects.filter_map(|value| Desired::read(&value)).collect()
}

/// The kinds of these objects.
pub(super) fn kinds(objects: &[Desired]) -> BTreeSet<GroupKind> {
    objects.iter().map(|object| object.id.group_kind()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use lapdev_api::{
        bundle::{BundleNamespace, DialTarget},
        kinds::Port,
    };
    use serde_json::{Value, json};

    fn bundle(objects: Vec<Value>) -> Bundle {
        let namespaces = vec![BundleNamespace { name: "env-staging".parse().expect("legal"), owned: true }];
        Bundle { namespaces, ..fixture::bundle(objects) }
    }

    fn checked(bundle: &Bundle) -> Result<Namespace, BundleError> {
        let plane = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        check(bundle, &plane, Some(&ClusterPolicy { namespace_prefix: "env-".into(), source_namespaces: vec![] }))
    }

    fn config_map(namespace: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}})
    }

    #[test]
    fn a_bundle_stays_in_its_namespace() {
        assert_eq!(checked(&bundle(vec![config_map("env-staging")])).expect("fine").as_str(), "env-staging");
        let foreign = checked(&bundle(vec![config_map("kube-system")])).expect_err("foreign");
        assert_eq!(foreign.to_string(), "ConfigMap kube-system/a is in none of its namespaces");
        let cluster =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}});
        assert!(matches!(checked(&bundle(vec![cluster])), Err(BundleError::OutOfScope(_))));
        let twice = checked(&bundle(vec![config_map("env-staging"), config_map("env-staging")]));
        assert!(matches!(twice, Err(BundleError::Twice(_))));
        assert!(matches!(checked(&bundle(vec![json!({})])), Err(BundleError::Nameless(0))));
    }

    #[test]
    fn a_preview_is_of_the_bundles_own_namespace() {
        let preview = |namespace: &str| {
            let namespace = namespace.parse().expect("legal");
            let previews = vec![DialTarget { namespace, service: "web".into(), port: Port::Number(80) }];
            checked(&Bundle { previews, ..bundle(vec![]) })
        };
        assert!(preview("env-staging").is_ok());
        let elsewhere = preview("kube-system").expect_err("elsewhere").to_string();
        assert_eq!(elsewhere, "it declares a preview of Service kube-system/web, which is in none of its namespaces");
    }

    #[test]
    fn a_bundle_is_of_this_control_plane_and_under_the_clusters_prefix() {
        let mut other = bundle(vec![]);
        other.control_plane = "cccccccccccccccc".parse().expect("legal");
        assert!(matches!(checked(&other), Err(BundleError::ControlPlane(_))));
        let mut elsewhere = bundle(vec![]);
        elsewhere.namespaces[0].name = "kube-system".parse().expect("legal");
        assert!(matches!(checked(&elsewhere), Err(BundleError::Prefix { .. })));
        elsewhere.namespaces.clear();
        assert!(matches!(checked(&elsewhere), Err(BundleError::Namespaces(0))));
    }

    #[test]
    fn a_secret_with_data_is_refused() {
        let secret = |data: Value| {
            let metadata = json!({"name": "s", "namespace": "env-staging"});
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
            secret["data"] = data;
            checked(&bundle(vec![secret]))
        };
        assert!(matches!(secret(json!({"a": "Yg=="})), Err(BundleError::SecretData(_))));
        assert!(secret(json!({})).is_ok());
    }
}
