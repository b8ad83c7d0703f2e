//! Bundles and objects to publish.

use lapdev_api::{
    bundle::{BranchIdentity, Bundle, BundleNamespace, Identity, Target},
    kinds::EnvironmentType,
    name::Uid,
};
use serde_json::{Value, json};

pub fn uid(letter: char, plane: char) -> Uid {
    format!("{letter}{}", plane.to_string().repeat(15)).parse().expect("legal")
}

/// A Shared environment `lapdev-env-<name>` of these objects; their namespace is filled in.
pub fn shared(plane: char, name: &str, objects: Vec<Value>) -> Bundle {
    let namespace = format!("lapdev-env-{name}");
    let objects = objects.into_iter().map(|mut object| {
        object["metadata"]["namespace"] = namespace.as_str().into();
        object
    });
    Bundle {
        control_plane: plane.to_string().repeat(16).parse().expect("legal"),
        environment: Identity {
            uid: uid('a', plane),
            name: name.parse().expect("legal"),
            environment_type: EnvironmentType::Shared,
            catalog: "shop".parse().expect("legal"),
            branch: None,
        },
        target: Target::Host,
        namespaces: vec![BundleNamespace { name: namespace.parse().expect("legal"), owned: true }],
        previews: vec![],
        expires_at: None,
        objects: objects.collect(),
    }
}

/// A Branch environment beside `base`.
pub fn branch(base: &Bundle, letter: char, key: &str, objects: Vec<Value>) -> Bundle {
    let plane = base.control_plane.as_str().chars().next().expect("16 characters");
    let mut bundle = shared(plane, base.environment.name.as_str(), objects);
    bundle.namespaces[0].owned = false;
    bundle.environment.uid = uid(letter, plane);
    bundle.environment.name = key.parse().expect("legal");
    bundle.environment.environment_type = EnvironmentType::Branch;
    bundle.environment.branch = Some(BranchIdentity {
        key: key.parse().expect("legal"),
        base: base.environment.name.clone(),
        repository_id: "42".parse().expect("legal"),
        repository: "acme/shop".parse().expect("legal"),
        branch: "feature/x".parse().expect("legal"),
    });
    bundle
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

pub fn workload(kind: &str, name: &str, key: &str, image: &str, replicas: u32) -> Value {
    let labels = json!({"app": name, "lapdev.dev/branch": key});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
            },
        },
    })
}

pub fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    workload("Deployment", name, "baseline", image, replicas)
}

pub fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

pub fn shop(plane: char, name: &str) -> Bundle {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "web"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    let objects = vec![config_map("web", "1"), service("web"), account, role, deployment("web", "web:1", 1)];
    shared(plane, name, objects)
}
