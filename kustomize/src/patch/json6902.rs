//! JSON patches (RFC 6902), as lenient as the reference's library: `replace` adds what is missing
//! in a mapping, and indices may count from the end of a list.

use crate::budget::{Budget, MAX_DEPTH, depth, weight};
use crate::error::Position;
use crate::yaml::{Node, NodeKind};
use serde_json::Value;

/// One operation of a JSON patch.
#[derive(Clone, Debug)]
pub struct Operation {
    kind: Kind,
    path: Vec<String>,
    /// The path as written, for messages.
    written: String,
    at: Position,
}

/// What is wrong with a patch, and where in its text.
pub type Failure = (Position, String);

#[derive(Clone, Debug)]
enum Kind {
    Add(Value),
    Remove,
    Replace(Value),
    Test(Value),
    Move(Vec<String>),
    Copy(Vec<String>),
}

/// Reads a list of operations.
pub fn parse(patch: Node) -> Result<Vec<Operation>, Failure> {
    let NodeKind::Sequence(items) = patch.kind else {
        return Err((patch.at, "a JSON patch is a list of operations".to_owned()));
    };
    items.into_iter().map(|item| operation(item.at, item.into_value())).collect()
}

fn operation(at: Position, item: Value) -> Result<Operation, Failure> {
    kind_and_path(item).map(|(kind, path, written)| Operation { kind, path, written, at }).map_err(|why| (at, why))
}

fn kind_and_path(item: Value) -> Result<(Kind, Vec<String>, String), String> {
    let Value::Object(mut fields) = item else { return Err("an operation is a mapping".to_owned()) };
    let Some(Value::String(written)) = fields.remove("path") else {
        return Err("`path` is missing or not a string".to_owned());
    };
    let path = pointer(&written)?;
    let op = fields.remove("op").unwrap_or_default();
    let mut value = || fields.remove("value").unwrap_or_default();
    let kind = match op.as_str().unwrap_or_default() {
        "add" => Kind::Add(value()),
        "remove" => Kind::Remove,
        "replace" => Kind::Replace(value()),
        "test" => Kind::Test(value()),
        name @ ("move" | "copy") => {
            let Some(Value::String(from)) = fields.remove("from") else {
                return Err("`from` is missing or not a string".to_owned());
            };
            let from = pointer(&from)?;
            if name == "move" { Kind::Move(from) } else { Kind::Copy(from) }
        }
        other => return Err(format!("unknown `op` `{other}`; expected add, remove, replace, move, copy or test")),
    };
    Ok((kind, path, written))
}

/// A JSON pointer's parts; the reference refuses the empty one, and skips what is before the first `/`.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    let (_, rest) = text.split_once('/').ok_or_else(|| format!("the path `{text}` must start with `/`"))?;
    Ok(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

/// Applies the operations in order.
pub fn apply(object: &mut Value, operations: &[Operation], budget: &Budget) -> Result<(), Failure> {
    for operation in operations {
        one(object, operation, budget).map_err(|why| (operation.at, format!("path `{}`: {why}", operation.written)))?;
    }
    Ok(())
}

fn one(object: &mut Value, operation: &Operation, budget: &Budget) -> Result<(), String> {
    let path = &operation.path;
    match &operation.kind {
        Kind::Add(value) => add(object, path, paid(value, path, budget)?),
        Kind::Remove => remove(object, path).map(drop),
        Kind::Replace(value) => replace(object, path, paid(value, path, budget)?),
        Kind::Test(value) => test(object, path, value),
        Kind::Move(from) => {
            let value = remove(object, from)?;
            fits(&value, path)?;
            add(object, path, value)
        }
        Kind::Copy(from) => {
            // What a mapping lacks is copied as null.
            let value = match container(object, from)? {
                (Value::Object(map), key) if !map.contains_key(key) => Value::Null,
                _ => paid(get(object, from)?, path, budget)?,
            };
            add(object, path, value)
        }
    }
}

/// A copy of a value, paid for, that does not become too deep where it goes.
fn paid(value: &Value, path: &[String], budget: &Budget) -> Result<Value, String> {
    budget.pay(1, weight(value))?;
    fits(value, path)?;
    Ok(value.clone())
}

fn fits(value: &Value, path: &[String]) -> Result<(), String> {
    match path.len() + depth(value) > MAX_DEPTH {
        true => Err(format!("the object would be nested deeper than {MAX_DEPTH} levels")),
        false => Ok(()),
    }
}

/// The container that holds the last part of a path.
fn container<'v, 'p>(object: &'v mut Value, path: &'p [String]) -> Result<(&'v mut Value, &'p str), String> {
    let Some((last, parents)) = path.split_last() else { return Err("the path is empty".to_owned()) };
    let mut value = object;
    for part in parents {
        let missing = || format!("`{part}` does not exist");
        value = match value {
            Value::Object(map) => map.get_mut(part).ok_or_else(missing)?,
            Value::Array(items) => {
                let at = index(part, items.len())?;
                items.get_mut(at).ok_or_else(missing)?
            }
            _ => return Err(missing()),
        };
    }
    Ok((value, last))
}

/// An index into a list of `length`; a negative one counts from its end.
fn index(part: &str, length: usize) -> Result<usize, String> {
    let number: i64 = part.parse().map_err(|_| format!("`{part}` is not an index"))?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if number < 0 { number + length } else { number };
    usize::try_from(at).map_err(|_| format!("the index {number} is before the start of the list"))
}

fn add(object: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    match container(object, path)? {
        (Value::Object(map), key) => {
            map.insert(key.to_owned(), value);
            Ok(())
        }
        (Value::Array(items), "-") => {
            items.push(value);
            Ok(())
        }
        (Value::Array(items), part) => {
            let at = index(part, items.len() + 1)?;
            if at > items.len() {
                return Err(format!("the index {at} is beyond the end of the list"));
            }
            items.insert(at, value);
            Ok(())
        }
        _ => Err("its parent is neither a mapping nor a list".to_owned()),
    }
}

fn remove(object: &mut Value, path: &[String]) -> Result<Value, String> {
    match container(object, path)? {
        (Value::Object(map), key) => map.remove(key).ok_or_else(|| "there is nothing to remove".to_owned()),
        (Value::Array(items), part) => {
            let at = index(part, items.len())?;
            match at < items.len() {
                true => Ok(items.remove(at)),
                false => Err(format!("the index {at} is beyond the end of the list")),
            }
        }
        _ => Err("its parent is neither a mapping nor a list".to_owned()),
    }
}

fn replace(object: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    match container(object, path)? {
        (Value::Object(map), key) => {
            map.insert(key.to_owned(), value);
            Ok(())
        }
        (Value::Array(items), part) => {
            let at = index(part, items.len())?;
            let slot = items.get_mut(at).ok_or_else(|| format!("the index {at} is beyond the end of the list"))?;
            *slot = value;
            Ok(())
        }
        _ => Err("its parent is neither a mapping nor a list".to_owned()),
    }
}

fn get<'v>(object: &'v mut Value, path: &[String]) -> Result<&'v Value, String> {
    match container(object, path)? {
        (Value::Object(map), key) => map.get(key).ok_or_else(|| format!("`{key}` does not exist")),
        (Value::Array(items), part) => {
            let at = index(part, items.len())?;
            items.get(at).ok_or_else(|| format!("the index {at} is beyond the end of the list"))
        }
        _ => Err("its parent is neither a mapping nor a list".to_owned()),
    }
}

fn test(object: &mut Value, path: &[String], expected: &Value) -> Result<(), String> {
    let found = get(object, path);
    let equal = match &found {
        Ok(value) => same(value, expected),
        Err(_) => expected.is_null(),
    };
    match equal {
        true => Ok(()),
        false => Err("the test failed: the object has another value there".to_owned()),
    }
}

/// Equality with numbers compared by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut object: Value, patch: Value) -> Result<Value, String> {
        let operations = parse(Node::of_value(patch, Position::default())).map_err(|(_, why)| why)?;
        apply(&mut object, &operations, &Budget::new(1_000)).map_err(|(_, why)| why)?;
        Ok(object)
    }

    #[test]
    fn lists_take_indices_from_both_ends_and_a_dash() {
        let object = json!({"a": [1, 2]});
        let done = patched(
            object.clone(),
            json!([{"op": "add", "path": "/a/-", "value": 3}, {"op": "remove", "path": "/a/-3"}]),
        );
        assert_eq!(done, Ok(json!({"a": [2, 3]})));
        assert!(patched(object.clone(), json!([{"op": "add", "path": "/a/9", "value": 3}])).is_err());
        assert!(patched(object, json!([{"op": "remove", "path": "/a/-9"}])).is_err());
    }

    #[test]
    fn replace_adds_to_a_mapping_but_parents_must_exist() {
        assert_eq!(patched(json!({}), json!([{"op": "replace", "path": "/a", "value": 1}])), Ok(json!({"a": 1})));
        assert!(patched(json!({}), json!([{"op": "add", "path": "/a/b", "value": 1}])).is_err());
        assert!(patched(json!({}), json!([{"op": "remove", "path": "/a"}])).is_err());
    }

    #[test]
    fn a_failed_test_and_an_unknown_operation_are_errors() {
        assert!(patched(json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 2}])).is_err());
        assert!(patched(json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 1.0}])).is_ok());
        assert!(patched(json!({}), json!([{"op": "add", "path": "", "value": 2}])).is_err());
        assert!(patched(json!({}), json!([{"op": "put", "path": "/a", "value": 2}])).is_err());
    }

    #[test]
    fn copies_of_copies_end_at_the_budget() {
        let doubling = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let patch = Value::Array(vec![doubling; 100]);
        assert!(patched(json!({"a": [1]}), patch).is_err());
    }

    #[test]
    fn escapes_in_pointers_are_undone() {
        let done = patched(json!({"a/b": {"~": 1}}), json!([{"op": "move", "from": "/a~1b/~0", "path": "/c"}]));
        assert_eq!(done, Ok(json!({"a/b": {}, "c": 1})));
    }
}
