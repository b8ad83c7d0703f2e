//! The suffix of generated names: a hash of the content, in the reference's encoding, so that a
//! name changes exactly when it does there.

use crate::resource::{Resource, ResourceList};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// An object that carries this annotation, as `enabled`, gets a hash like a generated one.
const NEEDS_HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";

/// Gives every object that needs it a name with the hash of its content.
pub fn add_hashes(list: &mut ResourceList) {
    for resource in list.items_mut() {
        let asked =
            resource.annotations().and_then(|pairs| pairs.get(NEEDS_HASH)).is_some_and(|value| value == "enabled");
        if resource.needs_hash || asked {
            let name = format!("{}-{}", resource.name(), name_hash(resource));
            resource.remember();
            resource.set_name(name);
        }
    }
}

/// The ten characters that a name gets for its content.
fn name_hash(resource: &Resource) -> String {
    let mut text = String::new();
    write_json(&mut text, &content(resource));
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    digest.chars().take(10).map(unlike_words).collect()
}

/// Letters and digits that could spell something are exchanged.
fn unlike_words(c: char) -> char {
    match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    }
}

/// What counts of an object.
fn content(resource: &Resource) -> Value {
    let field = |name: &str| match resource.value.get(name) {
        None => Value::from(""),
        Some(value) => value.clone(),
    };
    let (kind, optional) = match resource.kind() {
        "ConfigMap" => ("ConfigMap", "binaryData"),
        "Secret" => ("Secret", "stringData"),
        // The reference hashes its parser's own structure here, which nothing outside of it can
        // match: any stable text of the content will do.
        _ => return resource.value.clone(),
    };
    let mut content = Map::from_iter([
        ("kind".to_owned(), Value::from(kind)),
        // The reference looks for a field called `metadata/name`, so the name never counts.
        ("name".to_owned(), Value::from("")),
        ("data".to_owned(), field("data")),
    ]);
    if kind == "Secret" {
        content.insert("type".to_owned(), field("type"));
    }
    if let Some(value @ Value::Object(_)) = resource.value.get(optional) {
        content.insert(optional.to_owned(), value.clone());
    }
    Value::Object(content)
}

/// JSON as Go writes it: sorted keys, and `<`, `>`, `&` escaped as for HTML.
fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            write_items(out, ['{', '}'], entries, |out, (key, value)| {
                write_string(out, key);
                out.push(':');
                write_json(out, value);
            });
        }
        Value::Array(items) => write_items(out, ['[', ']'], items, write_json),
        Value::String(text) => write_string(out, text),
        other => out.push_str(&other.to_string()),
    }
}

fn write_items<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    out.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use serde_json::json;

    #[test]
    fn hashes_are_those_of_the_reference() {
        let hash = |value: Value| name_hash(&Resource::new(value, Place::default()));
        // The values stand in the reference's own tests (api/hasher).
        assert_eq!(hash(json!({"kind": "ConfigMap"})), "6ct58987ht");
        assert_eq!(hash(json!({"kind": "ConfigMap", "data": {"one": ""}})), "9g67k2htb6");
        assert_eq!(hash(json!({"kind": "ConfigMap", "data": {"one": ""}, "binaryData": {"two": ""}})), "698h7c7t9m");
        assert_eq!(
            hash(json!({"kind": "Secret", "type": "my-type", "data": {"one": ""}, "stringData": {"two": 2}})),
            "c4h4264gdb"
        );
    }

    #[test]
    fn markup_is_escaped_before_hashing() {
        let mut text = String::new();
        write_json(&mut text, &json!({"b": "<&>\n", "a": [1, null]}));
        assert_eq!(text, r#"{"a":[1,null],"b":"\u003c\u0026\u003e\n"}"#);
    }
}
