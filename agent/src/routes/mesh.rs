//! Whether a mesh's sidecars stand between clients, the routers and the pods behind them. Pure.
//!
//! What a client's sidecar encrypts reaches a router as TLS, which it passes to the baseline untouched; so branches are not
//! reached by it, and people should know before they look for the reason.

use super::template;
use crate::object::{annotation, label};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{bundle::Bundle, route::RoutedService};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Each mesh, its sidecar's name, and the label or annotation that asks for one, with the value that asks for none.
const MESHES: [(&str, &str, &str, [&str; 2]); 4] = [
    ("Istio", "istio-proxy", "sidecar.istio.io/inject", ["false", ""]),
    ("Linkerd", "linkerd-proxy", "linkerd.io/inject", ["disabled", "false"]),
    ("Kuma", "kuma-sidecar", "kuma.io/sidecar-injection", ["disabled", "false"]),
    ("Consul", "consul-dataplane", "consul.hashicorp.com/connect-inject", ["false", ""]),
];
/// The labels by which Istio takes a whole namespace.
const ISTIO: [&str; 2] = ["istio-injection", "istio.io/rev"];

/// One pod in the cluster: its metadata, and the rest of it with its status.
pub type Pod<'a> = (&'a ObjectMeta, &'a Value);

/// What to say of the mesh that a base's routed Services are in; none when they are in none.
#[must_use]
pub fn notice(
    bundle: &Bundle,
    routed: &BTreeMap<String, RoutedService>,
    namespace: Option<&ObjectMeta>,
    pods: &[Pod<'_>],
) -> Option<String> {
    let whole = namespace.filter(|_| !routed.is_empty()).and_then(of_namespace);
    let of_services = || {
        let found = routed.iter().filter_map(|(name, service)| Some((name, of_service(bundle, service, pods)?)));
        let (names, meshes): (Vec<_>, BTreeSet<_>) = found.map(|(name, mesh)| (name.as_str(), mesh)).unzip();
        meshes.first().map(|mesh| (*mesh, format!("the pods behind {}", names.join(", "))))
    };
    let (mesh, whom) = whole.map(|mesh| (mesh, "the whole namespace".to_owned())).or_else(of_services)?;
    Some(format!(
        "{mesh} puts sidecars into {whom}: requests in plain text are routed per branch; what a client's sidecar encrypts \
         (mTLS) reaches the routers as TLS and passes to the baseline; and pods that demand mTLS refuse the routers"
    ))
}

fn of_namespace(namespace: &ObjectMeta) -> Option<&'static str> {
    if ISTIO.iter().any(|key| label(namespace, key).is_some_and(|value| value != "disabled")) {
        return Some("Istio");
    }
    let asks = |key: &str| label(namespace, key).or_else(|| annotation(namespace, key));
    MESHES.iter().find(|mesh| is_asked(mesh, &asks)).map(|(mesh, ..)| *mesh)
}

fn of_service(bundle: &Bundle, service: &RoutedService, pods: &[Pod<'_>]) -> Option<&'static str> {
    let selector = template::selector(bundle, &service.baseline)?;
    let asked = template::selected(bundle, selector).find_map(|template| {
        let asks = |key: &str| {
            let at = |place: &str| template.pointer(place)?.get(key)?.as_str();
            at("/metadata/labels").or_else(|| at("/metadata/annotations"))
        };
        MESHES.iter().find(|mesh| is_asked(mesh, &asks)).map(|(mesh, ..)| *mesh)
    });
    let seen = || {
        let own = pods.iter().filter(|(metadata, _)| template::selects(selector, |key| label(metadata, key)));
        own.into_iter().find_map(|(_, rest)| of_pod(rest))
    };
    asked.or_else(seen)
}

fn is_asked<'a>(
    (_, _, key, refusals): &(&'static str, &str, &str, [&str; 2]),
    asks: &impl Fn(&str) -> Option<&'a str>,
) -> bool {
    asks(key).is_some_and(|value| !refusals.contains(&value))
}

fn of_pod(rest: &Value) -> Option<&'static str> {
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let containers = statuses.into_iter().filter_map(|place| rest.pointer(place)?.as_array()).flatten();
    let names: BTreeSet<&str> = containers.filter_map(|container| container.get("name")?.as_str()).collect();
    MESHES.iter().find(|(_, sidecar, ..)| names.contains(sidecar)).map(|(mesh, ..)| *mesh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn metadata(labels: &[(&str, &str)]) -> ObjectMeta {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }
    }

    fn say(inject: &Value, namespace: &ObjectMeta, pods: &[Pod<'_>]) -> Option<String> {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web--baseline"},
            "spec": {"selector": {"app": "web"}}});
        let template = json!({"metadata": {"labels": {"app": "web"}, "annotations": inject}, "spec": {}});
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}});
        let routed = RoutedService { baseline: "web--baseline".into(), ports: vec![], affinity_seconds: None };
        let routed = BTreeMap::from([("web".to_owned(), routed)]);
        notice(&fixture::bundle(vec![service, web]), &routed, Some(namespace), pods)
    }

    #[test]
    fn a_sidecar_is_found_in_pods_in_templates_and_by_the_namespace() {
        let none = ObjectMeta::default();
        assert_eq!(say(&Value::Null, &none, &[]), None);
        assert_eq!(say(&json!({"linkerd.io/inject": "disabled"}), &none, &[]), None);
        let asked = say(&json!({"linkerd.io/inject": "enabled"}), &none, &[]).expect("asked for");
        assert!(asked.starts_with("Linkerd puts sidecars into the pods behind web: "), "{asked}");
        let whole = say(&Value::Null, &metadata(&[("istio-injection", "enabled")]), &[]).expect("the namespace");
        assert!(whole.starts_with("Istio puts sidecars into the whole namespace: "), "{whole}");
        assert_eq!(say(&Value::Null, &metadata(&[("istio-injection", "disabled")]), &[]), None);
        let running = json!({"status": {"initContainerStatuses": [{"name": "istio-proxy"}]}});
        let (web, other) = (metadata(&[("app", "web")]), metadata(&[("app", "other")]));
        assert!(say(&Value::Null, &none, &[(&web, &running)]).is_some());
        assert_eq!(say(&Value::Null, &none, &[(&other, &running)]), None, "it is behind nothing that is routed");
    }
}
