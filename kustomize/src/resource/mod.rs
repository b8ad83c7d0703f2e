//! An object on its way through a rendering: its content, and what it was called before.

mod expand;
mod gvk;
mod id;
mod kind_order;
mod list;

pub use expand::{check, of_file, patches, resources};
pub use gvk::Gvk;
pub use id::Id;
pub use kind_order::{KINDS_FIRST, KINDS_LAST};
pub use list::ResourceList;

use crate::budget::{Budget, text_weight};
use crate::error::{Error, Place, Problem};
use crate::fields::build_metadata::Plugin;
use crate::patch::SchemaComments;
use crate::yaml::Spelling;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// An object with its history. Names change on the way; references and patches may use any of them.
#[derive(Clone, Debug)]
pub struct Resource {
    pub value: Value,
    /// Where the object was read, for messages.
    pub place: Place,
    previous: Vec<Previous>,
    /// Prefixes given to the name, innermost first.
    pub prefixes: Vec<String>,
    /// Suffixes given to the name, innermost first.
    pub suffixes: Vec<String>,
    /// How a generated object meets one of the same name.
    pub behavior: Behavior,
    /// Whether the name gets a hash of the content in the end.
    pub needs_hash: bool,
    /// Whether helm made this object, which then has seen to its namespace.
    pub from_helm: bool,
    /// The generator that made this object, if it was not read.
    pub made_by: Option<Plugin>,
    /// The transformers that ran over it, as text, if somebody wants to know.
    pub changed_by: Vec<Arc<str>>,
    /// The variables that take their value from this object.
    pub vars: Vec<String>,
    /// Where the text had a key without a value, which is less than a written `null`: the first
    /// strategic merge drops it.
    pub valueless: Vec<String>,
    /// Scalars that the text spells otherwise than their values are written. Where the reference
    /// makes a string of a scalar, it takes what was written.
    pub spellings: Vec<Spelling>,
    /// The schemas that the text gives in comments.
    pub comments: Option<Box<SchemaComments>>,
}

/// What the object was called before a change.
#[derive(Clone, Debug)]
struct Previous {
    name: String,
    namespace: String,
    kind: String,
}

/// How a generated object meets an existing one of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behavior {
    #[default]
    Create,
    Replace,
    Merge,
}

impl Resource {
    pub fn new(value: Value, place: Place) -> Self {
        Self {
            value,
            place,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::Create,
            needs_hash: false,
            from_helm: false,
            made_by: None,
            changed_by: Vec::new(),
            vars: Vec::new(),
            valueless: Vec::new(),
            spellings: Vec::new(),
            comments: None,
        }
    }

    /// An object of a file, which may state its history as the reference's bookkeeping does.
    pub fn read(value: Value, place: Place) -> Result<Self, Error> {
        let mut resource = Self::new(value, place);
        let stated = |what: &str| {
            let value = resource.annotations()?.get(&format!("internal.config.kubernetes.io/previous{what}"))?;
            Some(value.as_str()?.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        let Some(names) = stated("Names") else { return Ok(resource) };
        let (namespaces, kinds) = (stated("Namespaces").unwrap_or_default(), stated("Kinds").unwrap_or_default());
        if names.len() != namespaces.len() || names.len() != kinds.len() {
            let why = "the annotations of previous names, namespaces and kinds differ in length; remove them";
            return Err(Error::new(resource.place, Problem::NotAnObject(why.to_owned())));
        }
        let former = names.into_iter().zip(namespaces).zip(kinds);
        resource.previous = former.map(|((name, namespace), kind)| Previous { name, namespace, kind }).collect();
        Ok(resource)
    }

    pub fn kind(&self) -> &str {
        text(&self.value, "kind")
    }

    pub fn gvk(&self) -> Gvk {
        Gvk::of(&self.value)
    }

    pub fn name(&self) -> &str {
        self.metadata().map_or("", |metadata| text_in(metadata, "name"))
    }

    pub fn namespace(&self) -> &str {
        self.metadata().map_or("", |metadata| text_in(metadata, "namespace"))
    }

    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.value.get("metadata")?.as_object()
    }

    /// The mapping `metadata`, made if it is missing or null.
    pub fn metadata_mut(&mut self) -> Option<&mut Map<String, Value>> {
        let metadata = self.value.as_object_mut()?.entry("metadata").or_insert(Value::Null);
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut()
    }

    /// A mapping of the object as the reference reads it where it wants strings: scalars as they were
    /// written, of everything else nothing. `path` is a JSON pointer.
    pub fn texts(&self, path: &str) -> BTreeMap<String, String> {
        let Some(pairs) = self.value.pointer(path).and_then(Value::as_object) else { return BTreeMap::new() };
        // Found once for all keys: each on its own would take the square of their number.
        let blank: HashSet<String> = self.valueless.iter().filter_map(|pointer| key_below(path, pointer)).collect();
        let mut spellings: HashMap<String, Vec<&Spelling>> = HashMap::new();
        for spelling in &self.spellings {
            if let Some(key) = key_below(path, &spelling.pointer) {
                spellings.entry(key).or_default().push(spelling);
            }
        }
        let text = |(key, value): (&String, &Value)| {
            let is_blank = value.is_null() && blank.contains(key);
            let spelling = spellings.get(key).and_then(|all| all.iter().find(|spelling| spelling.value == *value));
            (key.clone(), as_text(is_blank, spelling.copied(), value))
        };
        pairs.iter().map(text).collect()
    }

    /// A scalar in a mapping or list of the object, as it was written; nothing for a collection.
    pub fn spelled(&self, path: &str, key: &str, value: &Value) -> String {
        let is_here = |pointer: &str| key_below(path, pointer).is_some_and(|found| found == key);
        let is_blank = value.is_null() && self.valueless.iter().any(|pointer| is_here(pointer));
        let spelling = self.spellings.iter().find(|spelling| spelling.value == *value && is_here(&spelling.pointer));
        as_text(is_blank, spelling, value)
    }

    /// Makes empty texts of what stands empty between braces: the reference writes it so when it
    /// passes an object on as text.
    pub fn fill_blanks(&mut self) {
        for Spelling { pointer, value, text } in &self.spellings {
            if value.is_null()
                && text.is_empty()
                && let Some(blank @ Value::Null) = self.value.pointer_mut(pointer)
            {
                *blank = Value::from("");
            }
        }
    }

    /// A copy of the value at a JSON pointer, which in its new place is written as in the old one.
    pub fn copy_of(&self, at: &str, value: &Value) -> Value {
        let mut copy = value.clone();
        for Spelling { pointer, value, text } in &self.spellings {
            if value.is_null()
                && text.is_empty()
                && let Some(blank @ Value::Null) = pointer.strip_prefix(at).and_then(|rest| copy.pointer_mut(rest))
            {
                *blank = Value::from("");
            }
        }
        copy
    }

    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.metadata()?.get("labels")?.as_object()
    }

    pub fn annotations(&self) -> Option<&Map<String, Value>> {
        self.metadata()?.get("annotations")?.as_object()
    }

    pub fn set_name(&mut self, name: String) {
        if let Some(metadata) = self.metadata_mut() {
            metadata.insert("name".to_owned(), Value::String(name));
        }
    }

    /// Sets the namespace, or removes the field if it is empty.
    pub fn set_namespace(&mut self, namespace: &str) {
        if let Some(metadata) = self.metadata_mut() {
            match namespace {
                "" => metadata.remove("namespace"),
                name => metadata.insert("namespace".to_owned(), Value::String(name.to_owned())),
            };
        }
    }

    /// Who the object is now.
    pub fn id(&self) -> Id {
        Id::new(self.gvk(), self.name(), self.namespace())
    }

    /// Who the object was when it was read.
    pub fn original_id(&self) -> Id {
        self.previous_ids().next().unwrap_or_else(|| self.id())
    }

    /// The name that the object has, and those that it had.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name()).chain(self.previous.iter().map(|previous| previous.name.as_str()))
    }

    /// The type that the object had when it was read.
    pub fn original_gvk(&self) -> Gvk {
        let now = self.gvk();
        match self.previous.first() {
            Some(first) => Gvk { kind: first.kind.clone(), ..now },
            None => now,
        }
    }

    /// Every former identity, oldest first; without the present one.
    pub fn previous_ids(&self) -> impl Iterator<Item = Id> {
        self.previous.iter().map(|previous| {
            let gvk = Gvk { kind: previous.kind.clone(), ..self.gvk() };
            Id::new(gvk, &previous.name, &previous.namespace)
        })
    }

    /// Keeps the present identity as a former one; call before a change of name, namespace or kind.
    pub fn remember(&mut self) {
        let id = self.id();
        self.previous.push(Previous { name: id.name, namespace: id.namespace, kind: id.gvk.kind });
    }

    /// Does that where a kustomization can ask for it again and again; the message says that the budget is gone.
    pub fn remember_paid(&mut self, budget: &Budget) -> Result<(), String> {
        budget.pay(3, text_weight(self.name()))?;
        self.remember();
        Ok(())
    }

    /// Takes over the history of the object that this one replaces.
    pub fn inherit(&mut self, older: &Self) {
        self.previous.clone_from(&older.previous);
        self.prefixes.clone_from(&older.prefixes);
        self.suffixes.clone_from(&older.suffixes);
        self.vars.clone_from(&older.vars);
        self.changed_by.clone_from(&older.changed_by);
    }

    /// Whether the identity is one that the object has or had.
    pub fn is_or_was(&self, id: &Id) -> bool {
        // Names differ nearly always, and are the cheapest to compare.
        self.is_or_was_named(&id.name) && (self.id() == *id || self.previous_ids().any(|previous| previous == *id))
    }

    /// Whether the name is one that the object has or had.
    pub fn is_or_was_named(&self, name: &str) -> bool {
        self.names().any(|one| one == name)
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn text_in<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The key that a JSON pointer leads to directly below another.
fn key_below(path: &str, pointer: &str) -> Option<String> {
    let rest = pointer.strip_prefix(path)?.strip_prefix('/')?;
    (!rest.contains('/')).then(|| rest.replace("~1", "/").replace("~0", "~"))
}

/// A value where the reference wants text.
fn as_text(is_blank: bool, spelling: Option<&Spelling>, value: &Value) -> String {
    match (spelling, value) {
        _ if is_blank => String::new(),
        (Some(spelling), _) => spelling.text.clone(),
        (None, Value::String(text)) => text.clone(),
        (None, Value::Array(_) | Value::Object(_)) => String::new(),
        (None, scalar) => scalar.to_string(),
    }
}
