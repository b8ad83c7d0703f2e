//! Whether an object is of the shape that the renderer changes it by: mappings and lists where Kubernetes has them. A
//! branch's manifests are written by whoever may push, and none of them may stop the rendering of the others.

use super::object::{group, kind, template_pointer};
use serde_json::Value;

/// What is at the fields of a pattern; `*` is each item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Mapping,
    /// A list of mappings.
    List,
}

use Shape::{List, Mapping};

const EVERY: &[(&str, Shape)] =
    &[("/metadata", Mapping), ("/metadata/labels", Mapping), ("/metadata/annotations", Mapping)];
const TEMPLATE: &[(&str, Shape)] = &[
    ("", Mapping),
    ("/metadata", Mapping),
    ("/metadata/labels", Mapping),
    ("/metadata/annotations", Mapping),
    ("/spec", Mapping),
    ("/spec/containers", List),
    ("/spec/initContainers", List),
    ("/spec/volumes", List),
];
const CONTAINER: &[(&str, Shape)] = &[("/env", List), ("/envFrom", List), ("/ports", List)];
const SPEC: &[(&str, Shape)] = &[
    ("/spec", Mapping),
    ("/spec/selector", Mapping),
    ("/spec/selector/matchLabels", Mapping),
    ("/spec/ports", List),
    ("/spec/volumeClaimTemplates", List),
    ("/spec/jobTemplate", Mapping),
    ("/spec/jobTemplate/spec", Mapping),
];
const POLICY: &[(&str, Shape)] =
    &[("/spec", Mapping), ("/spec/podSelector", Mapping), ("/spec/ingress", List), ("/spec/egress", List)];
const RULE: &[(&str, Shape)] = &[("/from", List), ("/to", List), ("/ports", List)];

/// The first field of a built-in kind that is something else, and what it should be.
pub(super) fn misshapen(object: &Value) -> Option<(String, &'static str)> {
    first(object, "", EVERY).or_else(|| match (group(object), kind(object)) {
        ("networking.k8s.io", "NetworkPolicy") => policy(object),
        ("" | "apps" | "batch" | "policy", _) => first(object, "", SPEC).or_else(|| template(object)),
        _ => None,
    })
}

fn template(object: &Value) -> Option<(String, &'static str)> {
    let at = template_pointer(object)?;
    let containers = || {
        ["containers", "initContainers"].iter().find_map(|list| each(object, &format!("{at}/spec/{list}"), CONTAINER))
    };
    first(object, at, TEMPLATE).or_else(containers)
}

fn policy(object: &Value) -> Option<(String, &'static str)> {
    first(object, "", POLICY)
        .or_else(|| ["ingress", "egress"].iter().find_map(|list| each(object, &format!("/spec/{list}"), RULE)))
}

fn each(object: &Value, list: &str, shapes: &[(&str, Shape)]) -> Option<(String, &'static str)> {
    let items = object.pointer(list)?.as_array()?;
    (0..items.len()).find_map(|index| first(object, &format!("{list}/{index}"), shapes))
}

fn first(object: &Value, at: &str, shapes: &[(&str, Shape)]) -> Option<(String, &'static str)> {
    shapes.iter().find_map(|(pointer, shape)| {
        let field = format!("{at}{pointer}");
        let value = object.pointer(&field).filter(|value| !value.is_null())?;
        let (fits, expected) = match shape {
            Mapping => (value.is_object(), "a mapping"),
            List => (value.as_array().is_some_and(|items| items.iter().all(Value::is_object)), "a list of mappings"),
        };
        (!fits).then(|| (field.trim_start_matches('/').replace('/', "."), expected))
    })
}
