//! Every label and annotation that lapdev writes or reads. The scheme cannot change once objects carry it: selectors
//! are immutable.

/// On every workload's pod template and in the selectors of workloads, Services and PodDisruptionBudgets:
/// `baseline`, or a branch's key. Kept from the first object on, because selectors are immutable.
pub const BRANCH: &str = "lapdev.dev/branch";

/// On every object: the uid of the environment that it belongs to.
pub const ENVIRONMENT: &str = "lapdev.dev/environment";

/// On every object: the id of the control plane, since two may share a cluster.
pub const CONTROL_PLANE: &str = "lapdev.dev/control-plane";

/// Annotation on an ApplySet's parent and on namespaces: the environment's name, for people.
pub const ENVIRONMENT_NAME: &str = "lapdev.dev/environment-name";

/// Annotation on an ApplySet's parent alone: the generation that was last applied.
pub const GENERATION: &str = "lapdev.dev/generation";

/// Annotation on an ApplySet's parent alone: the digest of the bundle that was last applied.
pub const DIGEST: &str = "lapdev.dev/digest";

/// Annotation on a pod template: digest of the ConfigMaps that it reads, so that a changed one rolls it.
pub const CONFIG_DIGEST: &str = "lapdev.dev/config-digest";

/// On the routers' pods, and in the selectors of routed Services: `true`.
pub const ROUTER: &str = "lapdev.dev/router";

/// Annotation on a routed Service: [`crate::route::RoutedService`] as JSON.
pub const ROUTED: &str = "lapdev.dev/routed";

/// Annotation on the routing table's ConfigMap: the SHA-256 digest of the token by which routers know their agent, on
/// [`crate::route::ADMIN_PORT`].
pub const ROUTER_TOKEN: &str = "lapdev.dev/router-token-sha256";

/// Annotation on the routers' Deployment, for the routing table: `true` where answers say which version gave them.
pub const SERVED_BY: &str = "lapdev.dev/served-by";

/// Annotation on the routers' Deployment, for the routing table: how long a request waits for a branch's pods.
pub const HOLD_SECONDS: &str = "lapdev.dev/hold-seconds";

/// The environment variable that tells a branch's workload its key.
pub const KEY_VARIABLE: &str = "LAPDEV_KEY";

/// The field manager of every apply.
pub const FIELD_MANAGER: &str = "lapdev";

/// On an ApplySet's parent (KEP-3659): the set's id.
pub const APPLYSET_ID: &str = "applyset.kubernetes.io/id";

/// On every member of an ApplySet (KEP-3659): the set's id.
pub const APPLYSET_PART_OF: &str = "applyset.kubernetes.io/part-of";

/// Annotation on an ApplySet's parent (KEP-3659): the tool and its version.
pub const APPLYSET_TOOLING: &str = "applyset.kubernetes.io/tooling";

/// Annotation on an ApplySet's parent (KEP-3659): `Kind.group` of every kind that the set may contain.
pub const APPLYSET_GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";

/// The name of the ConfigMap that is an environment's ApplySet parent.
#[must_use]
pub fn parent_name(uid: &crate::name::Uid) -> String {
    format!("lapdev-{uid}")
}
