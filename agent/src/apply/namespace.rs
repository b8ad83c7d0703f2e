//! An environment's own namespace and the agent's right to work in it, and the base's namespace of a Branch.

use crate::{
    apiserver::ApiServer,
    apply::{ApplyError, apply_object},
    object::{Desired, Marks, ObjectId, label},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::GroupVersionKind;
use lapdev_api::{
    labels,
    name::{EnvironmentName, Namespace},
};
use serde_json::{Value, json};

/// The RoleBinding's name in every namespace that the agent makes.
pub const ROLE_BINDING: &str = "lapdev-agent";

/// Who the agent is, and which fixed ClusterRole it may bind itself to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The user name that the API server knows the agent by.
    pub user: String,
    /// The ClusterRole.
    pub role: String,
}

/// The id of a namespace.
#[must_use]
pub fn id(name: &str) -> ObjectId {
    ObjectId { group: String::new(), kind: "Namespace".into(), namespace: String::new(), name: name.to_owned() }
}

/// Makes the environment's namespace, and binds the agent to its role there. Returns both as they are now.
///
/// # Errors
/// As [`apply_object`]: a namespace without our labels is left untouched.
pub async fn ensure(
    api: &ApiServer,
    marks: &Marks,
    name: &Namespace,
    environment: &EnvironmentName,
    grant: &Grant,
) -> Result<[(ObjectId, ObjectMeta); 2], ApplyError> {
    let namespace = desired(marks, namespace(name, environment));
    let made = apply_object(api, marks, &namespace, None).await?.metadata;
    Ok([(namespace.id, made), bind(api, marks, name, grant).await?])
}

/// Binds the agent to its role in a namespace that is there. Returns the RoleBinding as it is now.
///
/// # Errors
/// As [`apply_object`].
pub async fn bind(
    api: &ApiServer,
    marks: &Marks,
    name: &Namespace,
    grant: &Grant,
) -> Result<(ObjectId, ObjectMeta), ApplyError> {
    let binding = desired(marks, role_binding(name, grant));
    let bound = apply_object(api, marks, &binding, None).await?.metadata;
    Ok((binding.id, bound))
}

/// The namespace of a Branch's base must be there, and be this control plane's.
///
/// # Errors
/// As [`apply_object`], and when it is not there.
pub async fn check_base(api: &ApiServer, marks: &Marks, name: &Namespace) -> Result<Option<ObjectMeta>, ApplyError> {
    let id = id(name.as_str());
    let kind = api.kind(&GroupVersionKind::gvk("", "v1", "Namespace")).await?;
    let Some(metadata) = api.metadata(&kind, &id).await? else { return Ok(None) };
    if metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    match label(&metadata, labels::CONTROL_PLANE) {
        Some(plane) if plane == marks.control_plane.as_str() => Ok(Some(metadata)),
        Some(plane) => Err(ApplyError::Occupied { id, whose: format!("belongs to control plane {plane}") }),
        None => Err(ApplyError::Occupied { id, whose: "carries no lapdev label".into() }),
    }
}

fn desired(marks: &Marks, mut value: Value) -> Desired {
    marks.stamp(&mut value, None);
    Desired::read(&value).expect("it is named just above")
}

fn namespace(name: &Namespace, environment: &EnvironmentName) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "annotations": { (labels::ENVIRONMENT_NAME): environment } },
    })
}

fn role_binding(namespace: &Namespace, grant: &Grant) -> Value {
    let subject = match grant.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }),
        None => json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": grant.user }),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "name": ROLE_BINDING, "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": grant.role },
        "subjects": [subject],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_bound_as_such_and_anybody_else_as_a_user() {
        let namespace = "n".parse().expect("legal");
        let bound = |user: &str| {
            let grant = Grant { user: user.into(), role: "lapdev-environment".into() };
            role_binding(&namespace, &grant)["subjects"][0].clone()
        };
        let account = json!({"kind": "ServiceAccount", "namespace": "lapdev-agent", "name": "agent"});
        assert_eq!(bound("system:serviceaccount:lapdev-agent:agent"), account);
        assert_eq!(bound("alice")["kind"], "User");
    }
}
