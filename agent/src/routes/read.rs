//! What a bundle says about routing: in the annotations of its Services and of its routers' Deployment. Pure.

use crate::object::annotation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{
    bundle::Bundle,
    labels,
    route::{ROUTER, RoutedService},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a request waits for a branch's pods where nobody says anything else, in seconds.
const HOLD: u32 = 10;

/// Why a namespace cannot be routed as its bundles say. Only a new revision, or an end, can help.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// An annotation is not of a form that this agent knows.
    #[error(
        "annotation {} of Service {service} is not of a form that this agent knows; upgrade the agent",
        labels::ROUTED
    )]
    Annotation {
        /// Whose.
        service: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The table does not fit into a ConfigMap.
    #[error(
        "the routing table of {branches} branches has {bytes} bytes, more than the {} that a ConfigMap holds; close some, or move \
         some to a base of their own",
        super::MAX_TABLE
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// How many branches are in it.
        branches: usize,
    },
}

/// How a base's routers should behave, as its catalog's operator set it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether answers say which version gave them.
    pub served_by: bool,
    /// How long a request waits for a branch's pods, in seconds.
    pub hold_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { served_by: true, hold_seconds: HOLD }
    }
}

/// The Services that a base's bundle has routed.
///
/// # Errors
/// When an annotation cannot be read: the Service must not be switched to routers that know nothing of it.
pub fn declared(bundle: &Bundle) -> Result<BTreeMap<String, RoutedService>, RoutesError> {
    let routed = services(bundle).filter_map(|(name, service)| {
        let annotation = service.pointer("/metadata/annotations")?.get(labels::ROUTED)?.as_str()?;
        let read = serde_json::from_str(annotation);
        let failed = |source| RoutesError::Annotation { service: name.to_owned(), source };
        Some(read.map(|routed| (name.to_owned(), routed)).map_err(failed))
    });
    routed.collect()
}

/// The Services of a bundle, by name.
pub fn services(bundle: &Bundle) -> impl Iterator<Item = (&str, &Value)> {
    bundle.objects.iter().filter_map(|object| {
        let is_service = object["kind"] == "Service" && object["apiVersion"] == "v1";
        let name = object.pointer("/metadata/name").filter(|_| is_service)?;
        Some((name.as_str()?, object))
    })
}

/// How a Service in the cluster is routed, if it is.
#[must_use]
pub fn routed(service: &ObjectMeta) -> Option<RoutedService> {
    serde_json::from_str(annotation(service, labels::ROUTED)?).ok()
}

/// What the routers' Deployment in a bundle says.
#[must_use]
pub fn settings(bundle: &Bundle) -> Settings {
    let router = bundle.objects.iter().find(|object| {
        object["kind"] == "Deployment" && object.pointer("/metadata/name").is_some_and(|name| name == ROUTER)
    });
    let text = |key: &str| router?.pointer("/metadata/annotations")?.get(key)?.as_str();
    let usual = Settings::default();
    Settings {
        served_by: text(labels::SERVED_BY).map_or(usual.served_by, |text| text != "false"),
        hold_seconds: text(labels::HOLD_SECONDS).and_then(|text| text.parse().ok()).unwrap_or(usual.hold_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    #[test]
    fn a_bundle_says_which_services_are_routed_and_how() {
        let ports = json!([{"name": "", "port": 80, "listen": 11_000}]);
        let routed = json!({"baseline": "web--baseline", "ports": ports}).to_string();
        let service = |name: &str, annotations: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations}});
        let router = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "lapdev-router",
            "annotations": {"lapdev.dev/served-by": "false", "lapdev.dev/hold-seconds": "3"}}});
        let web = service("web", json!({"lapdev.dev/routed": routed}));
        let bundle = fixture::bundle(vec![web, service("db", Value::Null), router]);
        let declared = declared(&bundle).expect("readable");
        assert_eq!(declared.keys().collect::<Vec<_>>(), ["web"]);
        assert_eq!(declared["web"].ports[0].listen, 11_000);
        assert_eq!(settings(&bundle), Settings { served_by: false, hold_seconds: 3 });
        assert_eq!(settings(&fixture::bundle(vec![])), Settings { served_by: true, hold_seconds: 10 });
        let odd = fixture::bundle(vec![service("web", json!({"lapdev.dev/routed": "{}"}))]);
        assert!(super::declared(&odd).expect_err("unreadable").to_string().contains("Service web"));
    }
}
