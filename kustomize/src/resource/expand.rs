//! YAML text to resources: several documents, lists expanded, each checked to be an object.

use super::Resource;
use crate::error::{Error, Place, Problem};
use crate::options::Limits;
use crate::patch::SchemaComments;
use crate::path::TreePath;
use crate::yaml::{self, Dialect, Node, Spelling};
use serde_json::Value;

/// The objects in a text. `place` says where the text stands; positions in the text count if it is a whole file.
pub fn resources(text: &str, place: &Place, limits: &Limits) -> Result<Vec<Resource>, Error> {
    read(text, Dialect::Object, place, limits)
}

/// The strategic merge patches in a text, which look like objects.
pub fn patches(text: &str, place: &Place, limits: &Limits) -> Result<Vec<Resource>, Error> {
    read(text, Dialect::Patch, place, limits)
}

fn read(text: &str, dialect: Dialect, place: &Place, limits: &Limits) -> Result<Vec<Resource>, Error> {
    let whole_file = place.field.is_empty();
    let locate = |at| match whole_file {
        true => Place::at(&place.file, at),
        false => place.clone(),
    };
    let documents = yaml::documents(text, dialect, limits).map_err(|(at, problem)| Error::new(locate(at), problem))?;
    let lines = SchemaComments::lines(text);
    let mut found = Vec::new();
    for document in documents {
        let comments = lines.as_deref().and_then(|lines| SchemaComments::read(&document, lines)).map(Box::new);
        let first = found.len();
        expand(document, &locate, &mut found)?;
        if let [only] = &mut found[first..] {
            only.comments = comments;
        };
    }
    Ok(found)
}

fn expand(document: Node, locate: &impl Fn(crate::Position) -> Place, found: &mut Vec<Resource>) -> Result<(), Error> {
    let place = locate(document.at);
    let (valueless, spellings) = document.marks();
    // Lists of lists are queued behind, as the reference does.
    let mut queue = std::collections::VecDeque::from([document.into_value()]);
    let mut expanded = false;
    while let Some(mut value) = queue.pop_front() {
        if is_empty(&value) {
            continue;
        }
        names_as_text(&mut value, &spellings);
        check(&value).map_err(|problem| Error::new(place.clone(), problem))?;
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match value.get_mut("items").filter(|_| is_list).map(Value::take) {
            None => {
                let mut resource = Resource::read(value, place.clone())?;
                if !expanded {
                    resource.valueless.clone_from(&valueless);
                    resource.spellings.clone_from(&spellings);
                }
                found.push(resource);
            }
            Some(Value::Array(items)) => {
                expanded = true;
                queue.extend(items);
            }
            Some(Value::Null) => {}
            Some(_) => {
                return Err(Error::new(place, Problem::NotAnObject("`items` of a list must be a list".to_owned())));
            }
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Names that read as numbers or booleans are names all the same.
fn names_as_text(value: &mut Value, spellings: &[Spelling]) {
    for field in ["name", "namespace"] {
        let name = value.get_mut("metadata").and_then(|metadata| metadata.get_mut(field));
        let Some(name @ (Value::Number(_) | Value::Bool(_))) = name else { continue };
        let pointer = format!("/metadata/{field}");
        let is_here = |spelling: &&Spelling| spelling.pointer == pointer && spelling.value == *name;
        let written = spellings.iter().find(is_here).map(|spelling| spelling.text.clone());
        *name = Value::String(written.unwrap_or_else(|| name.to_string()));
    }
}

/// What every Kubernetes object has.
pub fn check(value: &Value) -> Result<(), Problem> {
    let missing = |what: &str| Problem::NotAnObject(what.to_owned());
    let metadata = |field| value.get("metadata")?.get(field);
    if !value.is_object() {
        return Err(missing("a mapping was expected"));
    }
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind.is_empty() {
        return Err(missing("`kind` is missing or not a string"));
    }
    let name = metadata("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() && !kind.ends_with("List") {
        return Err(missing("`metadata.name` is missing or not a string"));
    }
    match metadata("namespace") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(_) => return Err(missing("`metadata.namespace` must be a string; quote it")),
    }
    for field in ["labels", "annotations"] {
        match metadata(field) {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => return Err(missing(&format!("`metadata.{field}` must be a mapping"))),
        }
    }
    Ok(())
}

/// The objects of a whole file.
pub fn of_file(text: &str, file: &TreePath, limits: &Limits) -> Result<Vec<Resource>, Error> {
    resources(text, &Place::of(file), limits)
}
