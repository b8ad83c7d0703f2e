//! The field paths of server-side apply (`.spec.template.spec.containers[name="web"].image`), walked in an object and
//! in `managedFields`. Pure.
//!
//! The notation is ambiguous: an annotation's key may hold dots. A path is therefore never parsed by itself but matched
//! against the keys that are really there, the longest first.

use serde_json::Value;

/// Removes the field at `path`; false when there is no such field.
pub fn remove(object: &mut Value, path: &str) -> bool {
    if let Some(rest) = path.strip_prefix('.') {
        let Some((key, rest)) = longest_key(object, rest) else { return false };
        return match rest {
            "" => object.as_object_mut().is_some_and(|map| map.remove(&key).is_some()),
            rest => object.get_mut(&key).is_some_and(|child| remove(child, rest)),
        };
    }
    let Some((element, rest)) = bracket(path) else { return false };
    let Some(list) = object.as_array_mut() else { return false };
    let Some(index) = list.iter().enumerate().position(|(index, item)| element.matches(index, item)) else {
        return false;
    };
    if rest.is_empty() {
        list.remove(index);
        return true;
    }
    remove(&mut list[index], rest)
}

/// Whether `fields` (a `fieldsV1`) holds `path`, or something below it, or its whole parent as one atomic value.
#[must_use]
pub fn owns(fields: &Value, path: &str) -> bool {
    let Some(map) = fields.as_object() else { return false };
    if path.is_empty() {
        return true;
    }
    // `{}` in fieldsV1 is a leaf: an atomic value, which holds everything below it.
    if map.is_empty() {
        return true;
    }
    if let Some(rest) = path.strip_prefix('.') {
        let found = map
            .iter()
            .filter_map(|(key, child)| Some((key.strip_prefix("f:")?, child)))
            .filter(|(key, _)| starts_with_key(rest, key))
            .max_by_key(|(key, _)| key.len());
        return found.is_some_and(|(key, child)| owns(child, &rest[key.len()..]));
    }
    let Some((element, rest)) = bracket(path) else { return false };
    map.iter().any(|(key, child)| element.matches_encoded(key) && owns(child, rest))
}

/// The part of a path in brackets.
enum Element {
    /// `[name="web",protocol="TCP"]`: an item of a list that is keyed by these fields.
    Keys(Vec<(String, Value)>),
    /// `[="value"]`: a member of a set.
    Member(Value),
    /// `[3]`: by position.
    Index(usize),
}

impl Element {
    fn matches(&self, index: usize, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| item.get(key).unwrap_or(&default_key(key)) == value),
            Self::Member(value) => item == value,
            Self::Index(wanted) => *wanted == index,
        }
    }

    /// Whether a key of `fieldsV1` (`k:{…}`, `v:…`, `i:…`) is this element.
    fn matches_encoded(&self, encoded: &str) -> bool {
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        match (self, encoded.split_once(':')) {
            (Self::Keys(keys), Some(("k", text))) => json(text).is_some_and(|item| {
                item.as_object().is_some_and(|map| map.len() == keys.len())
                    && keys.iter().all(|(key, value)| item.get(key) == Some(value))
            }),
            (Self::Member(value), Some(("v", text))) => json(text).as_ref() == Some(value),
            (Self::Index(index), Some(("i", text))) => text.parse() == Ok(*index),
            _ => false,
        }
    }
}

/// The API server fills in keys that have a default before it compares: a port's protocol is the one in use.
fn default_key(key: &str) -> Value {
    if key == "protocol" { Value::String("TCP".into()) } else { Value::Null }
}

/// Reads `[…]` and what follows it. A quoted value is JSON and may hold brackets, commas and escapes.
fn bracket(path: &str) -> Option<(Element, &str)> {
    let mut rest = path.strip_prefix('[')?;
    if let Some((index, after)) = rest.split_once(']')
        && let Ok(index) = index.parse()
    {
        return Some((Element::Index(index), after));
    }
    let mut keys = Vec::new();
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = json_prefix(after)?;
        keys.push((key.to_owned(), value));
        if let Some(end) = after.strip_prefix(']') {
            let member = keys.len() == 1 && keys[0].0.is_empty();
            let element = if member { Element::Member(keys.remove(0).1) } else { Element::Keys(keys) };
            return Some((element, end));
        }
        rest = after.strip_prefix(',')?;
    }
}

/// The JSON value at the beginning of `text`, and what follows it.
fn json_prefix(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

fn longest_key<'a>(object: &Value, path: &'a str) -> Option<(String, &'a str)> {
    let keys = object.as_object()?.keys().filter(|key| starts_with_key(path, key));
    let key = keys.max_by_key(|key| key.len())?;
    Some((key.clone(), &path[key.len()..]))
}

fn starts_with_key(path: &str, key: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "metadata": {"annotations": {"example.com/a.b": "1", "example.com/a": "2"}, "finalizers": ["x", "y"]},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "side", "image": "s"},
                {"name": "web", "image": "w", "ports": [{"containerPort": 80}], "args": ["one", "two"]},
            ]}}},
        })
    }

    #[test]
    fn fields_are_removed_by_the_api_servers_own_notation() {
        let mut object = deployment();
        for path in [
            ".spec.replicas",
            r#".spec.template.spec.containers[name="web"].image"#,
            r#".spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]"#,
            ".metadata.annotations.example.com/a.b",
            r#".metadata.finalizers[="x"]"#,
            r#".spec.template.spec.containers[name="web"].args[1]"#,
        ] {
            assert!(remove(&mut object, path), "{path}");
            assert!(!remove(&mut object, path), "{path} is gone");
        }
        assert_eq!(
            object,
            json!({
                "metadata": {"annotations": {"example.com/a": "2"}, "finalizers": ["y"]},
                "spec": {"template": {"spec": {"containers": [
                    {"name": "side", "image": "s"},
                    {"name": "web", "ports": [], "args": ["one"]},
                ]}}},
            })
        );
    }

    #[test]
    fn a_path_that_is_not_there_removes_nothing() {
        let mut object = deployment();
        for path in
            ["", ".", ".spec.nothing", ".spec[0]", ".spec.template.spec.containers[name=\"x\"]", "[", "[a=", "x"]
        {
            assert!(!remove(&mut object, path), "{path}");
        }
        assert_eq!(object, deployment());
    }

    #[test]
    fn owners_are_found_in_managed_fields() {
        let fields = json!({
            "f:metadata": {"f:annotations": {".": {}, "f:example.com/a.b": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:args": {}},
            }}}},
        });
        for path in [
            ".spec.replicas",
            r#".spec.template.spec.containers[name="web"].image"#,
            ".metadata.annotations.example.com/a.b",
            ".spec.selector.matchLabels",
        ] {
            assert!(owns(&fields, path), "{path}");
        }
        for path in
            [".spec.paused", r#".spec.template.spec.containers[name="x"].image"#, ".metadata.annotations.example.com/a"]
        {
            assert!(!owns(&fields, path), "{path}");
        }
    }
}
