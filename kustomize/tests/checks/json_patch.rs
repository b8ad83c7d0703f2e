//! JSON patches: one with many operations does what many with one do, and what they set is there.

use super::{parts, rendered};
use lapdev_kustomize::{Object, to_yaml};
use serde_json::{Value, json};

const OBJECT: &str = "apiVersion: e.com/v1\nkind: Queue\nmetadata:\n  name: q\n  annotations: {kept: x}\n";

/// An object and a patch.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let [object, patch] = parts(text);
    let object = format!("{OBJECT}{object}\n");
    let patched = |patches: &[String]| {
        let entries = patches.iter().map(|patch| json!({"target": {"name": ".*"}, "patch": patch}));
        let kustomization = json!({"resources": ["o.yaml"], "patches": entries.collect::<Vec<_>>()}).to_string();
        rendered(&[("kustomization.yaml", kustomization.as_str()), ("o.yaml", object.as_str())])
    };

    let Some(at_once) = patched(&[patch.to_owned()]) else { return };
    let Ok(Value::Array(operations)) = serde_json::from_str::<Value>(patch) else { return };
    if operations.is_empty() {
        return;
    }
    let single: Vec<String> = operations.iter().map(|operation| json!([operation]).to_string()).collect();
    if let Some(one_by_one) = patched(&single) {
        assert_eq!(to_yaml(&at_once), to_yaml(&one_by_one), "one by one");
    }
    // A test of what is there holds, and changes nothing.
    if let ([object], Some(path)) = (at_once.as_slice(), last_path(&operations)) {
        unchanged_by_a_test(object, path);
    }
}

fn last_path(operations: &[Value]) -> Option<&str> {
    operations.last()?.get("path")?.as_str()
}

fn unchanged_by_a_test(object: &Object, path: &str) {
    let Some(value) = object.value().pointer(path).filter(|_| !path.is_empty()) else { return };
    let patch = json!([{"op": "test", "path": path, "value": value}]).to_string();
    let patches = json!([{"target": {"name": ".*"}, "patch": patch}]);
    let kustomization = json!({"resources": ["o.yaml"], "patches": patches}).to_string();
    let plain = [("kustomization.yaml", "resources: [o.yaml]\n"), ("o.yaml", &object.to_yaml())];
    let Some(plain) = rendered(&plain) else { return };
    let files = [("kustomization.yaml", kustomization.as_str()), ("o.yaml", &object.to_yaml())];
    let tested = rendered(&files).unwrap_or_else(|| panic!("the test fails: {patch}\n{}", object.to_yaml()));
    assert_eq!(to_yaml(&plain), to_yaml(&tested), "changed by a test of `{path}`");
}
