//! The field paths of replacements: a value copied onto itself changes nothing, and copying the
//! same value twice does what copying it once does.

use super::{parts, rendered};
use lapdev_kustomize::to_yaml;
use serde_json::{Value, json};

/// Two objects' bodies, a path to read, a path to write, and a delimiter.
pub fn holds(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let [from, to, read, write, delimiter] = parts(text);
    let from = format!("kind: A\nmetadata: {{name: from}}\n{from}\n");
    let to = format!("kind: A\nmetadata: {{name: to}}\n{to}\n");
    let options = json!({"create": first & 1 == 1, "delimiter": delimiter, "index": i32::from(first >> 2) - 1});
    let copied = |read: &str, write: &str, onto: &str, options: &Value| {
        let kustomization = json!({
            "resources": ["from.yaml", "to.yaml"],
            "replacements": [{
                "source": {"kind": "A", "name": "from", "fieldPath": read},
                "targets": [{"select": {"name": onto}, "fieldPaths": [write], "options": options}],
            }],
        });
        kustomization.to_string()
    };
    let files = |kustomization: &str, from: &str, to: &str| {
        rendered(&[("kustomization.yaml", kustomization), ("from.yaml", from), ("to.yaml", to)])
    };

    let onto_another = copied(read, write, "to", &options);
    if let Some(once) = files(&onto_another, &from, &to)
        && let [source, target] = once.as_slice()
        && delimiter.is_empty()
        && !write.contains(['[', '-', '*'])
        && let Some(twice) = files(&onto_another, &source.to_yaml(), &target.to_yaml())
    {
        assert_eq!(to_yaml(&once), to_yaml(&twice), "the same value again");
    }
    let onto_itself = copied(read, read, "from", &json!({}));
    if !read.contains(['[', '*'])
        && let Some(copy) = files(&onto_itself, &from, &to)
        && let Some(plain) = files("resources: [from.yaml, to.yaml]\n", &from, &to)
    {
        assert_eq!(to_yaml(&copy), to_yaml(&plain), "a value copied onto itself");
    }
}
