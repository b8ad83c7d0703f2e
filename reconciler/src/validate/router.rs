//! What belongs to the routers that stand in each base's namespace: a catalog's source may not have it, or the two would
//! fight over it, or requests would be led astray.

use lapdev_api::{
    labels,
    route::{ROUTER, TABLE_NAME},
};
use serde_json::Value;

const RENAME: &str = "expected another name";
const REMOVE: &str = "expected none";

/// What an object has that is the router's own, and what is expected in its place.
pub(crate) fn routers_own(object: &Value) -> Option<(&'static str, &'static str)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name");
    if name == ROUTER || name.strip_prefix(ROUTER).is_some_and(|rest| rest.starts_with('-')) {
        return Some(("has a name that begins with `lapdev-router`", RENAME));
    }
    if text("/kind") == "ConfigMap" && name == TABLE_NAME {
        return Some(("has the name of the routing table", RENAME));
    }
    let has = |pointer: &str, key: &str| object.pointer(pointer).and_then(|map| map.get(key)).is_some();
    let labelled =
        ["/metadata/labels", "/spec/template/metadata/labels", "/spec/selector", "/spec/selector/matchLabels"];
    if labelled.iter().any(|pointer| has(pointer, labels::ROUTER)) {
        return Some(("carries the label `lapdev.dev/router`", REMOVE));
    }
    has("/metadata/annotations", labels::ROUTED).then_some(("carries the annotation `lapdev.dev/routed`", REMOVE))
}
