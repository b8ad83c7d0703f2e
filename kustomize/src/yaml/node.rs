//! A parsed YAML value that remembers where it stood, for messages about kustomization files.

use crate::error::Position;
use serde_json::{Number, Value};

/// A value and the position of its first character.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: Position,
    pub kind: NodeKind,
    /// The text of a plain scalar, if its value is written otherwise, as `1` is for `1.0`.
    pub spelled: Option<Box<str>>,
}

/// A scalar that was written otherwise than its value is.
#[derive(Clone, Debug)]
pub struct Spelling {
    /// Where in the document, as a JSON pointer.
    pub pointer: String,
    pub value: Value,
    pub text: String,
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

impl NodeKind {
    /// Whether a scalar with this value was read from another text than the value is written as.
    pub fn is_spelled_otherwise(&self, text: &str) -> bool {
        match self {
            Self::Null { written } => *written && text != "null",
            Self::Bool(value) => text != if *value { "true" } else { "false" },
            Self::Number(value) => value.to_string() != text,
            Self::String(value) => value != text,
            Self::Sequence(_) | Self::Mapping(_) => false,
        }
    }
}

/// A key of a mapping with its value; keys keep the order of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl Node {
    pub fn new(at: Position, kind: NodeKind) -> Self {
        Self { at, kind, spelled: None }
    }

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
        self.walk(&mut String::new(), &mut |node, path| {
            if let NodeKind::Null { written: false } = node.kind {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// Which scalars were written otherwise than their values are, by JSON pointer.
    pub fn spellings(&self) -> Vec<Spelling> {
        let mut found = Vec::new();
        self.walk(&mut String::new(), &mut |node, path| {
            if let Some(text) = &node.spelled {
                let value = node.clone().into_value();
                found.push(Spelling { pointer: path.to_owned(), value, text: text.to_string() });
            }
        });
        found
    }

    fn walk(&self, path: &mut String, visit: &mut dyn FnMut(&Self, &str)) {
        let length = path.len();
        visit(self, path);
        match &self.kind {
            NodeKind::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    path.push_str(&format!("/{at}"));
                    item.walk(path, visit);
                    path.truncate(length);
                }
            }
            NodeKind::Mapping(entries) => {
                for entry in entries {
                    path.push('/');
                    path.push_str(&entry.key.replace('~', "~0").replace('/', "~1"));
                    entry.value.walk(path, visit);
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
        Self::new(at, kind)
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
