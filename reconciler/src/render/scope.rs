//! What may be in an environment at all: named, namespaced objects without Secret data.

use super::{
    RenderError,
    object::{Sourced, kind, name, text},
};
use serde_json::Value;

/// The built-in kinds without a namespace, and the widespread ones of others. A custom kind that is missing here is
/// refused by the cluster's agent, which knows its API server.
const CLUSTER_SCOPED: [&str; 34] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterIssuer",
    "ClusterPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterSecretStore",
    "ClusterExternalSecret",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "GatewayClass",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Refuses the first object that may not be in an environment.
pub(super) fn check(objects: &[Sourced]) -> Result<(), RenderError> {
    objects.iter().try_for_each(check_one)
}

fn check_one(object: &Sourced) -> Result<(), RenderError> {
    let Sourced { value, place } = object;
    let (place, kind, name) = (place.clone(), kind(value).to_owned(), name(value).to_owned());
    if CLUSTER_SCOPED.contains(&kind.as_str()) {
        return Err(RenderError::ClusterScoped { place, kind, name });
    }
    if name.is_empty() {
        return Err(RenderError::Nameless { place, kind });
    }
    let namespace = text(value, "/metadata/namespace");
    if !namespace.is_empty() {
        return Err(RenderError::ForeignNamespace { place, kind, name, namespace: namespace.to_owned() });
    }
    if kind == "Secret" && ["data", "stringData"].iter().any(|field| holds(value, field)) {
        return Err(RenderError::SecretData { place, name });
    }
    Ok(())
}

fn holds(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|data| data.as_object().is_none_or(|data| !data.is_empty()) && !data.is_null())
}
