//! The router's own objects in a base's namespace. What belongs to the environment (labels, namespace) is put on with
//! everybody's.

use crate::render::RouterSettings;
use lapdev_api::{
    labels,
    route::{ADMIN_PORT, ROUTER, TABLE_NAME, admin},
};
use serde_json::{Value, json};

/// How long a router that ends lets requests go on. Long downloads and WebSockets are cut off then.
const DRAIN_SECONDS: u32 = 30;
/// When the kubelet kills it: later than it ends by itself.
const GRACE_SECONDS: u32 = DRAIN_SECONDS + 15;

/// All of them.
pub(super) fn objects(settings: &RouterSettings) -> [Value; 5] {
    [service_account(), role(), role_binding(), deployment(settings), disruption_budget()]
}

fn service_account() -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": ROUTER } })
}

/// A router reads its table and where pods are, and writes nothing.
fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": ROUTER },
        "rules": [
            {
                "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [TABLE_NAME],
                "verbs": ["get", "list", "watch"],
            },
            { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"] },
        ],
    })
}

fn role_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "name": ROUTER },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROUTER },
        // The namespace is put in with the labels.
        "subjects": [{ "kind": "ServiceAccount", "name": ROUTER }],
    })
}

/// Never fewer than two ready ones while it is rolled, on two nodes where there are two.
fn deployment(settings: &RouterSettings) -> Value {
    let selector = json!({ "matchLabels": { (labels::ROUTER): "true" } });
    let spread = json!({
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": ROUTER,
            "annotations": {
                (labels::SERVED_BY): settings.served_by.to_string(),
                (labels::HOLD_SECONDS): settings.hold_seconds.to_string(),
            },
        },
        "spec": {
            "replicas": 2,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "selector": selector,
            "template": {
                "metadata": { "labels": { (labels::ROUTER): "true" } },
                "spec": {
                    "serviceAccountName": ROUTER,
                    "automountServiceAccountToken": true,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "topologySpreadConstraints": [spread],
                    "containers": [container(settings)],
                },
            },
        },
    })
}

fn container(settings: &RouterSettings) -> Value {
    let probe = |path: &str| json!({ "path": path, "port": ADMIN_PORT });
    json!({
        "name": "router",
        "image": settings.image,
        "env": [
            { "name": "NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
            { "name": "LAPDEV_DRAIN_SECONDS", "value": DRAIN_SECONDS.to_string() },
        ],
        "livenessProbe": { "httpGet": probe(admin::ALIVE), "periodSeconds": 10, "timeoutSeconds": 5 },
        "readinessProbe": {
            "httpGet": probe(admin::READY), "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 2,
        },
        "resources": { "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    })
}

fn disruption_budget() -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": ROUTER },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { (labels::ROUTER): "true" } } },
    })
}
