//! A parsed YAML value that remembers where it stood, for messages about kustomization files.

use crate::error::Position;
use serde_json::{Number, Value};

/// A value and the position of its first character.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: Position,
    pub kind: NodeKind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A null. `written` tells `null` and `~` from a key without a value.
    Null {
        written: bool,
    },
    Bool(bool),
    Number(Number),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping with its value; keys keep the order of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl Node {
    /// The type in words, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            NodeKind::Null { .. } => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Number(_) => "a number",
            NodeKind::String(_) => "a string",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
        }
    }

    /// The places of nulls that were not written out, as JSON pointers.
    pub fn valueless(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.find_valueless(&mut String::new(), &mut found);
        found
    }

    fn find_valueless(&self, path: &mut String, found: &mut Vec<String>) {
        let length = path.len();
        match &self.kind {
            NodeKind::Null { written: false } => found.push(path.clone()),
            NodeKind::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    path.push_str(&format!("/{at}"));
                    item.find_valueless(path, found);
                    path.truncate(length);
                }
            }
            NodeKind::Mapping(entries) => {
                for entry in entries {
                    path.push('/');
                    path.push_str(&entry.key.replace('~', "~0").replace('/', "~1"));
                    entry.value.find_valueless(path, found);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// A value as a node, all of it at one position.
    pub fn of_value(value: Value, at: Position) -> Self {
        let kind = match value {
            Value::Null => NodeKind::Null { written: true },
            Value::Bool(value) => NodeKind::Bool(value),
            Value::Number(value) => NodeKind::Number(value),
            Value::String(value) => NodeKind::String(value),
            Value::Array(items) => NodeKind::Sequence(items.into_iter().map(|item| Self::of_value(item, at)).collect()),
            Value::Object(map) => {
                let entry = |(key, value)| Entry { key, at, value: Self::of_value(value, at) };
                NodeKind::Mapping(map.into_iter().map(entry).collect())
            }
        };
        Self { at, kind }
    }

    /// The plain value, positions forgotten.
    pub fn into_value(self) -> Value {
        match self.kind {
            NodeKind::Null { .. } => Value::Null,
            NodeKind::Bool(value) => Value::Bool(value),
            NodeKind::Number(value) => Value::Number(value),
            NodeKind::String(value) => Value::String(value),
            NodeKind::Sequence(items) => items.into_iter().map(Self::into_value).collect(),
            NodeKind::Mapping(entries) => {
                Value::Object(entries.into_iter().map(|entry| (entry.key, entry.value.into_value())).collect())
            }
        }
    }
}
