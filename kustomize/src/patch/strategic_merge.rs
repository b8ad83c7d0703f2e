//! Strategic merge, in the behaviour of the reference's kyaml, odd corners included: new elements
//! go in front, nulls delete, `$patch` directives are obeyed where the type of a list is known.

use super::elements;
use super::schema::Schema;
use crate::yaml::{self, REPEATED};
use serde_json::{Map, Value};

/// Merging elements one by one takes the square of their number; no real list comes near this.
const MAX_ELEMENTS: usize = 1_000;

/// Stands for a key without a value while merging. Nobody writes this; who does gets a null.
const VALUELESS: &str = "\0valueless";

/// Merges `patch` over `target`; `Ok(None)` if the patch deletes it. Errors say what does not fit.
/// `valueless` are the nulls of the target (as JSON pointers) that a merge drops.
pub fn merge(
    mut target: Value,
    patch: Value,
    valueless: &[String],
    schema: Schema<'_>,
) -> Result<Option<Value>, String> {
    let repeats = repeated(&patch).is_some();
    for pointer in valueless {
        if let Some(null @ Value::Null) = target.pointer_mut(pointer) {
            *null = Value::from(VALUELESS);
        }
    }
    let mut merged = both(Some(target), Some(patch), schema)?.value;
    if let (Some(value), false) = (&mut merged, valueless.is_empty()) {
        restore(value);
    }
    if let Some(key) = merged.as_ref().filter(|_| repeats).and_then(repeated) {
        return Err(format!("the key `{key}` occurs twice in a mapping of the patch; remove one"));
    }
    Ok(merged)
}

/// The first key that a mapping of a patch has twice.
fn repeated(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(repeated),
        Value::Object(map) => map.get(REPEATED).and_then(Value::as_str).or_else(|| map.values().find_map(repeated)),
        _ => None,
    }
}

/// Where the merge did not come by, in lists that it leaves alone, the nulls stay.
fn restore(value: &mut Value) {
    match value {
        Value::String(text) if text == VALUELESS => *value = Value::Null,
        Value::Array(items) => items.iter_mut().for_each(restore),
        Value::Object(map) => map.values_mut().for_each(restore),
        _ => {}
    }
}

/// What became of a value.
struct Merged {
    value: Option<Value>,
    /// Whether it is the target's own value, changed, rather than the patch's.
    is_target: bool,
}

impl Merged {
    const NOTHING: Self = Self { value: None, is_target: false };
}

fn both(target: Option<Value>, patch: Option<Value>, schema: Schema<'_>) -> Result<Merged, String> {
    let schema = schema.or_named_by([target.as_ref(), patch.as_ref()]);
    let target = target.filter(|value| value != VALUELESS);
    same_shape(target.as_ref(), patch.as_ref())?;
    match (target, patch) {
        (None, None) | (_, Some(Value::Null)) => Ok(Merged::NOTHING),
        // A null that the target states itself stays.
        (Some(target @ Value::Null), None) => Ok(Merged { value: Some(target), is_target: true }),
        (None | Some(Value::Null), Some(patch)) => Ok(Merged { value: added(patch, schema)?, is_target: false }),
        (Some(Value::Object(target)), Some(Value::Object(patch))) => mappings(target, patch, schema),
        (Some(Value::Object(target)), None) => {
            let value = fields(target, Map::new(), schema)?;
            Ok(Merged { value: Some(value), is_target: true })
        }
        (Some(Value::Array(target)), patch) => lists(target, patch, schema),
        (Some(target), None) => Ok(Merged { value: Some(target), is_target: true }),
        (Some(target), Some(patch)) => Ok(Merged { value: Some(in_style_of(&target, patch)), is_target: false }),
    }
}

/// A scalar over another one, whose quotes it takes over: `"80"` becomes `"8080"`. Quotes that a text did not need are
/// forgotten by then, so over those a number is one.
fn in_style_of(target: &Value, patch: Value) -> Value {
    match (target, patch) {
        (Value::String(text), patch @ (Value::Number(_) | Value::Bool(_))) if !yaml::stands_plain(text) => {
            Value::String(patch.to_string())
        }
        (_, patch) => patch,
    }
}

fn same_shape(target: Option<&Value>, patch: Option<&Value>) -> Result<(), String> {
    let shape = |value: &Value| match value {
        Value::Null => None,
        Value::Object(_) => Some("a mapping"),
        Value::Array(_) => Some("a list"),
        _ => Some("a scalar"),
    };
    match (target.and_then(shape), patch.and_then(shape)) {
        (Some(target), Some(patch)) if target != patch => {
            Err(format!("the patch has {patch} where the object has {target}"))
        }
        _ => Ok(()),
    }
}

/// What a `$patch` directive asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Directive {
    fn parse(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("merge") => Ok(Self::Merge),
            Some("replace") => Ok(Self::Replace),
            Some("delete") => Ok(Self::Delete),
            _ => Err("`$patch` must be `merge`, `replace` or `delete`".to_owned()),
        }
    }

    /// Takes the directive out of a mapping.
    fn of_mapping(map: &mut Map<String, Value>) -> Result<Self, String> {
        let Some(value) = map.get("$patch") else { return Ok(Self::Merge) };
        let directive = Self::parse(value)?;
        map.remove("$patch");
        Ok(directive)
    }

    /// Takes the directive out of a list: an element with nothing else in it.
    fn of_list(items: &mut Vec<Value>) -> Result<Self, String> {
        let Some(element) = items.iter().filter_map(Value::as_object).find(|item| item.contains_key("$patch")) else {
            return Ok(Self::Merge);
        };
        if element.len() > 1 {
            return Ok(Self::Merge);
        }
        let value = element["$patch"].clone();
        let directive = Self::parse(&value)?;
        elements::remove(items, &["$patch"], &[elements::text(&value)])?;
        Ok(directive)
    }
}

fn mappings(target: Map<String, Value>, mut patch: Map<String, Value>, schema: Schema<'_>) -> Result<Merged, String> {
    match Directive::of_mapping(&mut patch)? {
        Directive::Delete => Ok(Merged::NOTHING),
        Directive::Replace => Ok(Merged { value: Some(own_fields(patch, schema)?), is_target: false }),
        Directive::Merge => {
            patch.remove(REPEATED);
            Ok(Merged { value: Some(fields(target, patch, schema)?), is_target: true })
        }
    }
}

fn fields(mut target: Map<String, Value>, mut patch: Map<String, Value>, schema: Schema<'_>) -> Result<Value, String> {
    let mut names: Vec<String> = target.keys().cloned().collect();
    names.extend(patch.keys().filter(|name| !target.contains_key(*name)).cloned());
    for name in names {
        let (old, new) = (target.remove(&name), patch.remove(&name));
        let merged = both(old, new, schema.field(&name)).map_err(|why| within(&name, &why))?;
        if let Some(value) = merged.value {
            target.insert(name, value);
        }
    }
    Ok(Value::Object(target))
}

fn within(name: &str, why: &str) -> String {
    match why.split_once(": ") {
        Some((path, rest)) if path.starts_with('`') => format!("`{name}/{}: {rest}", path.trim_start_matches('`')),
        _ => format!("`{name}`: {why}"),
    }
}

/// A value that only the patch has. Its own nulls and directives still count.
fn added(patch: Value, schema: Schema<'_>) -> Result<Option<Value>, String> {
    match patch {
        Value::Object(mut map) => match Directive::of_mapping(&mut map) {
            Ok(Directive::Delete) => Ok(None),
            _ => own_fields(map, schema).map(Some),
        },
        Value::Array(items) => match schema.keys() {
            Some(keys) => associative(items, None, &keys, schema).map(Some),
            None => Ok(Some(Value::Array(items))),
        },
        other => Ok(Some(other)),
    }
}

/// The fields of a patch's mapping merged with themselves, as the reference does it.
fn own_fields(map: Map<String, Value>, schema: Schema<'_>) -> Result<Value, String> {
    let mut result = Map::new();
    for (name, value) in map {
        if let Some(value) = own(value, schema.field(&name)).map_err(|why| within(&name, &why))? {
            result.insert(name, value);
        }
    }
    Ok(Value::Object(result))
}

fn own(value: Value, schema: Schema<'_>) -> Result<Option<Value>, String> {
    let schema = schema.or_named_by([Some(&value), None]);
    match value {
        Value::Null => Ok(None),
        Value::Object(mut map) => match Directive::of_mapping(&mut map)? {
            Directive::Delete => Ok(None),
            Directive::Merge | Directive::Replace => own_fields(map, schema).map(Some),
        },
        Value::Array(mut items) => {
            let Some(keys) = schema.keys() else { return Ok(Some(Value::Array(items))) };
            match Directive::of_list(&mut items)? {
                Directive::Delete => Ok(None),
                Directive::Merge | Directive::Replace => associative(items, None, &keys, schema).map(Some),
            }
        }
        other => Ok(Some(other)),
    }
}

fn lists(target: Vec<Value>, patch: Option<Value>, schema: Schema<'_>) -> Result<Merged, String> {
    let patch = match patch {
        Some(Value::Array(items)) => Some(items),
        _ => None,
    };
    let Some(keys) = schema.keys() else {
        let is_target = patch.is_none();
        return Ok(Merged { value: Some(Value::Array(patch.unwrap_or(target))), is_target });
    };
    let Some(mut patch) = patch else {
        let value = associative(target, Some(&[]), &keys, schema)?;
        return Ok(Merged { value: Some(value), is_target: true });
    };
    match Directive::of_list(&mut patch)? {
        Directive::Delete => Ok(Merged::NOTHING),
        Directive::Replace => Ok(Merged { value: Some(associative(patch, None, &keys, schema)?), is_target: false }),
        Directive::Merge => {
            Ok(Merged { value: Some(associative(target, Some(&patch), &keys, schema)?), is_target: true })
        }
    }
}

/// Merges lists element by element. Without a `patch`, the target list is the patch itself.
fn associative(
    mut target: Vec<Value>,
    patch: Option<&[Value]>,
    keys: &[&str],
    schema: Schema<'_>,
) -> Result<Value, String> {
    if target.len() + patch.map_or(0, <[_]>::len) > MAX_ELEMENTS {
        return Err(format!("lists of more than {MAX_ELEMENTS} elements are not merged"));
    }
    let keys = if keys.is_empty() { &[""][..] } else { keys };
    let mut identities = elements::identities(patch.unwrap_or_default(), &target, keys);
    if keys.len() > 1 {
        elements::unify(&mut identities);
    }
    let mut merged: Vec<Value> = Vec::new();
    let mut last_keys: Vec<&str> = keys.to_vec();
    for identity in &identities {
        let (used, values) = elements::used_keys(&identities, identity, keys);
        last_keys.clone_from(&used);
        let Some(element) = one_element(&mut target, patch, &used, &values, schema.element(&used, &values))? else {
            elements::remove(&mut target, &used, &values)?;
            continue;
        };
        elements::set(&mut merged, element, &used, &values)?;
    }
    if !identities.is_empty() {
        target = elements::append(merged, target, &last_keys)?;
    }
    Ok(Value::Array(target))
}

/// The element of both lists that has these keys; `None` if it goes.
fn one_element(
    target: &mut [Value],
    patch: Option<&[Value]>,
    keys: &[&str],
    values: &[String],
    schema: Schema<'_>,
) -> Result<Option<Value>, String> {
    let (some_keys, some_values) = elements::used_keys(&[values.to_vec()], values, keys);
    let old = elements::find(target, &some_keys, &some_values);
    let result = match patch {
        None => Merged { value: old.map(|at| own(target[at].clone(), schema)).transpose()?.flatten(), is_target: true },
        Some(patch) => {
            let new = elements::find(patch, &some_keys, &some_values).map(|at| patch[at].clone());
            both(old.map(|at| target[at].clone()), new, schema)?
        }
    };
    let Some(mut value) = result.value.filter(|value| !elements::is_nothing(value)) else { return Ok(None) };
    elements::complete(&mut value, keys, values);
    if let Some(at) = old.filter(|_| result.is_target) {
        target[at] = value.clone();
    }
    Ok(Some(value))
}
