//! Strategic merge: a patch that says nothing new changes nothing.

use super::{parts, rendered};
use lapdev_kustomize::to_yaml;
use serde_json::Value;
use std::collections::HashSet;

/// Types whose lists merge in different ways; the last one is the input's own.
const TYPES: [&str; 4] = ["apps/v1\nkind: Deployment", "v1\nkind: Service", "e.com/v1\nkind: Queue", ""];

/// An object and a patch.
pub fn holds(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let [object, patch, types] = parts(text);
    let begin = match TYPES[usize::from(*first) % TYPES.len()] {
        "" => String::new(),
        of => format!("apiVersion: {of}\nmetadata:\n  name: a\n"),
    };
    let (object, patch) = (format!("{begin}{object}\n"), format!("{begin}{patch}\n"));
    let open_api = if types.is_empty() { "" } else { "openapi: {path: types}\n" };
    let kustomization = format!("resources: [o.yaml]\npatches: [{{path: p.yaml, target: {{name: .*}}}}]\n{open_api}");
    let merged = |object: &str, patch: &str| {
        let files =
            [("kustomization.yaml", kustomization.as_str()), ("o.yaml", object), ("p.yaml", patch), ("types", types)];
        rendered(&files).filter(|objects| !objects.is_empty())
    };

    let Some(once) = merged(&object, &patch) else { return };
    // Directives do something every time, and so does an element that lacks the keys of its list.
    if text.contains('$') || !once.iter().all(|object| has_plain_lists(object.value())) {
        return;
    }
    let once = to_yaml(&once);
    // What a patch says twice of one element, it says by turns.
    let alone = rendered(&[("kustomization.yaml", "resources: [p.yaml]\n"), ("p.yaml", &patch)]);
    let is_plain = alone.is_some_and(|objects| objects.iter().all(|object| has_plain_lists(object.value())));
    if is_plain && let Some(twice) = merged(&once, &patch) {
        assert_eq!(once, to_yaml(&twice), "the same patch again");
    }
    // A null in a patch deletes.
    if !once.contains("null")
        && let Some(itself) = merged(&once, &once)
    {
        assert_eq!(once, to_yaml(&itself), "an object merged with itself");
    }
}

/// Whether every list holds scalars, or mappings that one of these tells apart.
fn has_plain_lists(value: &Value) -> bool {
    const KEYS: [&[&str]; 3] = [&["name"], &["id"], &["containerPort", "protocol"]];
    match value {
        Value::Array(items) => {
            let told_apart = |keys: &[&str]| {
                let mut seen = HashSet::new();
                items.iter().all(|item| {
                    let value = |key: &&str| item.get(key).filter(|value| !value.is_null()).map(Value::to_string);
                    let values: Option<Vec<String>> = keys.iter().map(value).collect();
                    values.is_some_and(|values| seen.insert(values))
                })
            };
            let scalars = items.iter().all(|item| item.is_string())
                && items.iter().map(|item| item.as_str()).collect::<HashSet<_>>().len() == items.len();
            (scalars || KEYS.into_iter().any(told_apart)) && items.iter().all(has_plain_lists)
        }
        Value::Object(map) => map.values().all(has_plain_lists),
        _ => true,
    }
}
