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
    Null,
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
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Number(_) => "a number",
            NodeKind::String(_) => "a string",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
        }
    }

    /// The plain value, positions forgotten.
    pub fn into_value(self) -> Value {
        match self.kind {
            NodeKind::Null => Value::Null,
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
