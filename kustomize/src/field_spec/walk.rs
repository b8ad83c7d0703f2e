//! Walking a field spec's path through an object, making missing fields where the spec says so.

use super::FieldSpec;
use crate::resource::Gvk;
use serde_json::{Map, Value};

/// What a missing field at the end of a path is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing is made, whatever the field spec says.
    Never,
    /// An empty mapping.
    Mapping,
    /// An empty string.
    Scalar,
}

impl Create {
    fn value(self) -> Value {
        match self {
            Self::Mapping => Value::Object(Map::new()),
            Self::Scalar | Self::Never => Value::String(String::new()),
        }
    }
}

/// Calls `set` on every value that the field spec leads to. Errors say what stood in the way.
pub fn apply(
    object: &mut Value,
    gvk: &Gvk,
    spec: &FieldSpec,
    create: Create,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    match spec.selects(gvk) {
        true => lead(object, spec, create, set),
        false => Ok(()),
    }
}

/// The same, whatever the type of the object.
pub fn lead(
    object: &mut Value,
    spec: &FieldSpec,
    create: Create,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let create = if spec.create { create } else { Create::Never };
    if !spec.path.contains('\\') {
        return walk(object, &spec.path, b'/', create, set).map_err(|why| format!("field `{}`: {why}", spec.path));
    }
    // A rare path with `\/`: the separators that count become a character that no field has.
    let path = spec.path.replace("\\/", "\u{0}").replace('/', "\u{1}").replace('\u{0}', "/");
    walk(object, &path, b'\x01', create, set).map_err(|why| format!("field `{}`: {why}", spec.path))
}

fn walk(
    value: &mut Value,
    path: &str,
    separator: u8,
    create: Create,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let path = path.trim_matches(char::from(separator));
    if path.is_empty() {
        return set(value);
    }
    // Names are short: a search made for long texts takes longer.
    let (first, rest) = path.split_at(path.bytes().position(|byte| byte == separator).unwrap_or(path.len()));
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, path, separator, create, set)),
        Value::Object(map) => match field(map, first, rest.is_empty(), create) {
            Some(next) => walk(next, rest, separator, create, set),
            None => Ok(()),
        },
        _ => Err("a list or a mapping was expected on the way".to_owned()),
    }
}

/// The field of a mapping; made, if it is missing or null and the path allows it.
fn field<'v>(map: &'v mut Map<String, Value>, step: &str, last: bool, create: Create) -> Option<&'v mut Value> {
    let name = step.strip_suffix("[]").unwrap_or(step);
    let is_list = name.len() != step.len();
    let made = match last {
        true => create,
        false => Create::Mapping,
    };
    if create != Create::Never && !is_list {
        let value = map.entry(name).or_insert_with(|| made.value());
        if value.is_null() {
            *value = made.value();
        }
        return Some(value);
    }
    let value = map.get_mut(name)?;
    if is_list && value.is_null() {
        *value = Value::Array(Vec::new());
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(mut object: Value, path: &'static str, create: Create) -> Result<Value, String> {
        let spec = FieldSpec::any(path, true);
        let gvk = Gvk::of(&object);
        apply(&mut object, &gvk, &spec, create, &mut |value| {
            *value = json!("set");
            Ok(())
        })?;
        Ok(object)
    }

    #[test]
    fn lists_are_passed_through_and_missing_fields_made() {
        let object = json!({"spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
        let set = run(object, "spec/containers[]/image", Create::Never).expect("walks");
        assert_eq!(set, json!({"spec": {"containers": [{"image": "set"}, {"image": "set"}]}}));
        assert_eq!(run(json!({}), "a/b", Create::Scalar).expect("walks"), json!({"a": {"b": "set"}}));
        assert_eq!(run(json!({}), "a/b", Create::Never).expect("walks"), json!({}));
        assert_eq!(run(json!({"a": null}), "a/b", Create::Scalar).expect("walks"), json!({"a": {"b": "set"}}));
    }

    #[test]
    fn an_escaped_slash_belongs_to_the_name() {
        let object = json!({"a": {"x/y": "old"}});
        assert_eq!(run(object, "a/x\\/y", Create::Never).expect("walks"), json!({"a": {"x/y": "set"}}));
    }

    #[test]
    fn a_scalar_on_the_way_is_an_error() {
        assert!(run(json!({"a": 1}), "a/b", Create::Never).is_err());
    }
}
