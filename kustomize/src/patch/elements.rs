//! Elements of lists that merge by keys: finding, replacing and ordering them as the reference's
//! `ElementSetter` and `appendListNode` do. A key of "" means the element itself, a scalar.

use crate::yaml::{self, Dialect};
use serde_json::Value;

/// A scalar as it would be written; empty for mappings and lists.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Whether an element is nothing: null or an empty mapping.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The values of the keys of every element, the patch's first, each once.
pub fn identities(patch: &[Value], target: &[Value], keys: &[&str]) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for item in patch.iter().chain(target) {
        let identity: Vec<String> = keys.iter().map(|key| key_text(item, key)).collect();
        if !found.contains(&identity) {
            found.push(identity);
        }
    }
    found
}

fn key_text(item: &Value, key: &str) -> String {
    match key {
        "" => text(item),
        _ => item.get(key).filter(|value| !value.is_null()).map(text).unwrap_or_default(),
    }
}

/// With several keys: identities that agree where both have a value become the same one.
pub fn unify(identities: &mut [Vec<String>]) {
    for i in 0..identities.len() {
        for j in 0..identities.len() {
            if let Some(common) = common(&identities[i], &identities[j]) {
                identities[i].clone_from(&common);
                identities[j] = common;
            }
        }
    }
}

fn common(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut agree = false;
    let mut result = Vec::with_capacity(a.len());
    for (x, y) in a.iter().zip(b) {
        match (x.is_empty(), y.is_empty()) {
            _ if x == y => {
                agree = true;
                result.push(x.clone());
            }
            (false, false) => return None,
            (false, true) => result.push(x.clone()),
            (true, _) => result.push(y.clone()),
        }
    }
    agree.then_some(result)
}

/// The keys that any of the identities has a value for, and this identity's values of them.
pub fn used_keys<'k>(identities: &[Vec<String>], identity: &[String], keys: &[&'k str]) -> (Vec<&'k str>, Vec<String>) {
    let used = |at: usize| identities.iter().any(|values| values.get(at).is_some_and(|value| !value.is_empty()));
    if !(0..keys.len()).any(used) {
        return (keys.to_vec(), identity.to_vec());
    }
    let kept: Vec<usize> = (0..keys.len()).filter(|at| used(*at)).collect();
    let values = kept.iter().filter_map(|at| identity.get(*at).cloned()).collect();
    (kept.into_iter().map(|at| keys[at]).collect(), values)
}

/// The first element with exactly these values.
pub fn find(items: &[Value], keys: &[&str], values: &[String]) -> Option<usize> {
    items.iter().position(|item| match keys {
        [""] => values.first().is_some_and(|value| text(item) == *value),
        _ => keys.iter().zip(values).all(|(key, value)| item.get(*key).is_some_and(|field| text(field) == *value)),
    })
}

/// Writes the keys that an element lacks into it.
pub fn complete(element: &mut Value, keys: &[&str], values: &[String]) {
    let Value::Object(map) = element else { return };
    for (key, value) in keys.iter().zip(values) {
        if !value.is_empty() && !map.contains_key(*key) {
            map.insert((*key).to_owned(), yaml::plain(value, Dialect::Object));
        }
    }
}

/// Whether an element has the values; an empty value matches any, a missing one the key before it.
fn matches(item: &Value, keys: &[&str], values: &[String]) -> Result<bool, String> {
    let mut found = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            found = match (*key, item) {
                ("", Value::Object(_) | Value::Array(_)) => return Err("a scalar was expected in this list".to_owned()),
                ("", scalar) => text(scalar) == *value,
                (key, Value::Object(map)) => {
                    map.get(key).is_some_and(|field| value.is_empty() || text(field) == *value)
                }
                _ => return Err("a mapping was expected in this list".to_owned()),
            };
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(found)
}

/// Goes through the elements, dropping empty ones, and puts `element` (or nothing) in the place of
/// those that match. Says whether any did.
fn replace(items: &mut Vec<Value>, element: Option<&Value>, keys: &[&str], values: &[String]) -> Result<bool, String> {
    let for_mappings =
        keys.first().is_some_and(|key| !key.is_empty()) && values.first().is_some_and(|value| !value.is_empty());
    let mut any = false;
    let mut kept = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if is_nothing(&item) {
            continue;
        }
        if !item.is_object() && for_mappings {
            kept.push(item);
        } else if matches(&item, keys, values)? {
            any = true;
            kept.extend(element.cloned());
        } else if !values.is_empty() {
            kept.push(item);
        }
    }
    *items = kept;
    Ok(any)
}

/// Removes the elements with these values.
pub fn remove(items: &mut Vec<Value>, keys: &[&str], values: &[String]) -> Result<(), String> {
    replace(items, None, keys, values).map(drop)
}

/// Puts an element in the place of those with these values, or at the end.
pub fn set(items: &mut Vec<Value>, element: Value, keys: &[&str], values: &[String]) -> Result<(), String> {
    if !replace(items, Some(&element), keys, values)? {
        items.push(element);
    }
    Ok(())
}

/// The merged elements, then those of the target that are not among them.
pub fn append(mut merged: Vec<Value>, target: Vec<Value>, keys: &[&str]) -> Result<Vec<Value>, String> {
    for element in target {
        if keys == [""] {
            let value = text(&element);
            set(&mut merged, element, keys, &[value])?;
            continue;
        }
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            match element.get(*key) {
                Some(value) => values.push(text(value)),
                None => merged.push(element.clone()),
            }
        }
        if keys.len() > 1 {
            remove(&mut merged, keys, &values)?;
        }
        set(&mut merged, element, keys, &values)?;
    }
    Ok(merged)
}
