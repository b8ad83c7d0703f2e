//! Paths into an object as replacements write them: `spec.containers.[name=web].args.0`.

use crate::budget::MAX_STEPS;
use crate::expression;
use crate::yaml::{self, Dialect};
use regex_lite::Regex;
use serde_json::{Map, Value};
use std::cell::OnceCell;

/// One step of a path.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Index(usize),
    /// Elements whose field (or which themselves, if the field is empty) have the value.
    Element {
        field: String,
        value: String,
        /// The value as an expression, from its first use on.
        pattern: OnceCell<Result<Regex, regex_lite::Error>>,
    },
    Every,
    Last,
}

impl Step {
    /// The one value that the step leads to, with its name.
    fn follow<'v>(&self, value: &'v Value) -> Result<Option<(String, &'v Value)>, String> {
        let item = |at: usize| Some((at.to_string(), value.as_array()?.get(at)?));
        Ok(match self {
            Self::Every => return Err("`*` cannot be used to read one value".to_owned()),
            Self::Field(name) => value.as_object().and_then(|map| Some((name.clone(), map.get(name)?))),
            Self::Index(at) => item(*at),
            Self::Last => value.as_array().and_then(|items| item(items.len().checked_sub(1)?)),
            Self::Element { field, value: wanted, .. } => value.as_array().and_then(|items| {
                item(items.iter().position(|item| scalar_at(item, field).as_deref() == Some(wanted))?)
            }),
        })
    }
}

/// A value that a path leads to.
pub struct Located<'v> {
    pub value: &'v Value,
    /// The mapping or list that it stands in, as a JSON pointer.
    pub around: String,
    pub name: String,
}

/// A parsed path.
#[derive(Clone, Debug)]
pub struct FieldPath {
    steps: Vec<Step>,
    written: String,
}

impl FieldPath {
    pub fn parse(text: &str) -> Result<Self, String> {
        let steps: Vec<Step> = split(text).into_iter().map(|part| step(&part)).collect::<Result<_, _>>()?;
        if steps.len() > MAX_STEPS {
            return Err(format!("a path has at most {MAX_STEPS} steps"));
        }
        Ok(Self { steps, written: text.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// How many steps the path has.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The one value that the path leads to; nulls and missing fields end it.
    pub fn get<'v>(&self, object: &'v Value) -> Result<Option<&'v Value>, String> {
        Ok(self.locate(object)?.map(|located| located.value))
    }

    /// The same, with its place.
    pub fn locate<'v>(&self, object: &'v Value) -> Result<Option<Located<'v>>, String> {
        let (mut value, mut around, mut last) = (object, String::new(), String::new());
        for step in &self.steps {
            let next = step.follow(value)?;
            let Some((name, next)) = next.filter(|(_, next)| !next.is_null()) else { return Ok(None) };
            if !last.is_empty() {
                around = format!("{around}/{}", last.replace('~', "~0").replace('/', "~1"));
            }
            (value, last) = (next, name);
        }
        Ok(Some(Located { value, around, name: last }))
    }

    /// The path in two, where its first part leads to a text and something follows.
    pub fn around_text(&self, object: &Value) -> Option<(Self, Self)> {
        let mut value = object;
        for (at, step) in self.steps.iter().enumerate() {
            if value.is_string() {
                let part = |steps: &[Step]| Self { steps: steps.to_vec(), written: self.written.clone() };
                return Some((part(&self.steps[..at]), part(&self.steps[at..])));
            }
            (_, value) = step.follow(value).ok()??;
        }
        None
    }

    /// Calls `set` on every value that the path leads to, and says how many there were. With
    /// `create`, what is missing on the way is made, ending in that value.
    pub fn visit(
        &self,
        object: &mut Value,
        create: Option<&Value>,
        set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
    ) -> Result<usize, String> {
        walk(object, &self.steps, create, set)
    }
}

fn walk(
    value: &mut Value,
    steps: &[Step],
    create: Option<&Value>,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<usize, String> {
    let Some((first, rest)) = steps.split_first() else {
        set(value)?;
        return Ok(1);
    };
    match first {
        Step::Field(name) => match field(value, name, rest, create)? {
            Some(next) => walk(next, rest, create, set),
            None => Ok(0),
        },
        Step::Index(at) => walk(index(value, *at, rest, create)?, rest, create, set),
        // Only where a value is read does the step mean the last element.
        Step::Last => match field(value, "-", rest, create)? {
            Some(next) => walk(next, rest, create, set),
            None => Ok(0),
        },
        Step::Every => list(value)?.iter_mut().try_fold(0, |count, item| Ok(count + walk(item, rest, create, set)?)),
        Step::Element { field, value: wanted, pattern } => {
            let items = list(value)?;
            // The reference takes the value for an expression that may match anywhere in the text.
            let pattern = pattern.get_or_init(|| expression::compile(wanted)).as_ref();
            let pattern = pattern.map_err(|why| format!("`{wanted}` is not a valid regular expression: {why}"))?;
            let count = elements(items, field, pattern, rest, create, set)?;
            if count > 0 || create.is_none() {
                return Ok(count);
            }
            items.push(element(field, wanted));
            elements(items, field, pattern, rest, create, set)
        }
    }
}

fn elements(
    items: &mut [Value],
    field: &str,
    pattern: &Regex,
    rest: &[Step],
    create: Option<&Value>,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<usize, String> {
    let mut count = 0;
    for item in items.iter_mut() {
        if scalar_at(item, field).is_some_and(|text| pattern.is_match(&text)) {
            // An element that is meant itself ends the path.
            count += walk(item, if field.is_empty() { &[] } else { rest }, create, set)?;
        }
    }
    Ok(count)
}

/// An element that has the value.
fn element(field: &str, value: &str) -> Value {
    let value = yaml::plain(value, Dialect::Object);
    match field.is_empty() {
        true => value,
        false => Value::Object(Map::from_iter([(field.to_owned(), value)])),
    }
}

fn list(value: &mut Value) -> Result<&mut Vec<Value>, String> {
    value.as_array_mut().ok_or_else(|| "a list was expected".to_owned())
}

/// What a missing value is made as, so that the next step finds what it needs.
fn made(rest: &[Step], create: &Value) -> Value {
    match rest.first() {
        None => create.clone(),
        Some(Step::Index(_) | Step::Element { .. }) => Value::Array(Vec::new()),
        Some(_) => Value::Object(Map::new()),
    }
}

fn field<'v>(
    value: &'v mut Value,
    name: &str,
    rest: &[Step],
    create: Option<&Value>,
) -> Result<Option<&'v mut Value>, String> {
    match (value, create) {
        (Value::Object(map), Some(create)) => Ok(Some(map.entry(name).or_insert_with(|| made(rest, create)))),
        (Value::Object(map), None) => Ok(map.get_mut(name)),
        (Value::Null, None) => Ok(None),
        (null @ Value::Null, Some(create)) => {
            *null = Value::Object(Map::from_iter([(name.to_owned(), made(rest, create))]));
            Ok(null.get_mut(name))
        }
        _ => Err(format!("a mapping was expected around `{name}`")),
    }
}

fn index<'v>(value: &'v mut Value, at: usize, rest: &[Step], create: Option<&Value>) -> Result<&'v mut Value, String> {
    let items = list(value)?;
    if let Some(create) = create.filter(|_| at == items.len()) {
        items.push(made(rest, create));
    }
    let length = items.len();
    items.get_mut(at).ok_or_else(|| format!("the index {at} is beyond the list of {length}"))
}

/// The scalar in a field of an element, or the element itself.
fn scalar_at(item: &Value, field: &str) -> Option<String> {
    let value = if field.is_empty() { item } else { item.get(field)? };
    scalar_text(value)
}

/// A scalar as text; nothing for mappings, lists and null.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Splits at dots, except after `\` and inside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut in_brackets = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { continue };
        match c {
            '\\' if chars.peek() == Some(&'.') => part.extend(chars.next()),
            '[' if part.is_empty() => {
                in_brackets = true;
                part.push(c);
            }
            ']' if in_brackets && matches!(chars.peek(), None | Some('.')) => {
                in_brackets = false;
                part.push(c);
            }
            '.' if !in_brackets => parts.push(String::new()),
            other => part.push(other),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn step(part: &str) -> Result<Step, String> {
    let part = part.trim();
    if let Ok(number) = part.parse::<usize>() {
        return Ok(Step::Index(number));
    }
    match part {
        "*" => return Ok(Step::Every),
        "-" => return Ok(Step::Last),
        _ => {}
    }
    let Some(inner) = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Ok(Step::Field(part.to_owned()));
    };
    match inner.split_once('=') {
        Some((field, value)) => {
            Ok(Step::Element { field: field.to_owned(), value: value.to_owned(), pattern: OnceCell::new() })
        }
        None => Ok(Step::Field(inner.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get(path: &str) -> Option<Value> {
        let object = json!({"a.b": {"c": [{"name": "x.y", "v": 1}, 2]}});
        FieldPath::parse(path).expect("valid").get(&object).expect("readable").cloned()
    }

    #[test]
    fn dots_are_escaped_by_backslash_or_brackets() {
        assert_eq!(get("a\\.b.c.1"), Some(json!(2)));
        assert_eq!(get("[a.b].c.[name=x.y].v"), Some(json!(1)));
        assert_eq!(get("[a.b].c.-"), Some(json!(2)));
        assert_eq!(get("a.b"), None);
    }

    #[test]
    fn missing_parts_are_made_as_the_next_step_needs_them() {
        let mut object = json!({});
        let path = FieldPath::parse("spec.items.[name=web].env.0").expect("valid");
        let count = path.visit(&mut object, Some(&json!("value")), &mut |_| Ok(()));
        assert_eq!(count, Ok(1));
        assert_eq!(object, json!({"spec": {"items": [{"name": "web", "env": ["value"]}]}}));
    }

    #[test]
    fn nothing_is_made_unless_asked() {
        let mut object = json!({"spec": {}});
        let path = FieldPath::parse("spec.x").expect("valid");
        assert_eq!(path.visit(&mut object, None, &mut |_| Ok(())), Ok(0));
        assert_eq!(object, json!({"spec": {}}));
    }
}
