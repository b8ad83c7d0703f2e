//! The Services of a branch: for each one that leads to a workload which the branch runs, a copy that leads to the
//! branch's own pods. Endpoints exist only through Services: the gateway dials these copies, the router reads them.

use super::object::{kind, name, pod_template, text};
use lapdev_api::name::compose;
use serde_json::{Map, Value, json};

/// Whether a Service selects the pods of a workload.
pub(super) fn selects(service: &Value, workload: &Value) -> bool {
    let labels = pod_template(workload).and_then(|template| template.pointer("/metadata/labels"));
    let (Some(selector), Some(labels)) = (selector(service), labels) else { return false };
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The selector of a Service that has one and leads to pods.
pub(super) fn selector(service: &Value) -> Option<&Map<String, Value>> {
    let leads_to_pods = kind(service) == "Service" && text(service, "/spec/type") != "ExternalName";
    let selector = service.pointer("/spec/selector")?.as_object()?;
    (leads_to_pods && !selector.is_empty()).then_some(selector)
}

/// The copy for a branch, without labels of ours. What belongs to one Service alone (addresses, node ports, load
/// balancers and the annotations that configure them) stays behind.
pub(super) fn copy(service: &Value, key: &str) -> Value {
    let ports: Vec<Value> =
        service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten().map(port).collect();
    let mut spec = json!({ "type": "ClusterIP", "selector": service["spec"]["selector"], "ports": ports });
    if ports.is_empty() {
        // Only a headless one may have no ports.
        spec["clusterIP"] = Value::from("None");
    }
    for field in
        ["sessionAffinity", "sessionAffinityConfig", "publishNotReadyAddresses", "ipFamilyPolicy", "ipFamilies"]
    {
        if let Some(value) = service["spec"].get(field) {
            spec[field] = value.clone();
        }
    }
    let mut metadata = json!({ "name": compose(name(service), key) });
    if let Some(labels) = service.pointer("/metadata/labels") {
        metadata["labels"] = labels.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
}

fn port(port: &Value) -> Value {
    let fields = ["name", "protocol", "appProtocol", "port", "targetPort"];
    fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), port.get(field)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}
