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

/// A step on the way to a value.
#[derive(Clone, Copy)]
enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

fn pointer(steps: &[Step<'_>]) -> String {
    steps.iter().fold(String::new(), |pointer, step| match step {
        Step::Key(key) => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(at) => format!("{pointer}/{at}"),
    })
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
        self.marks().0
    }

    /// The places of nulls that were not written out (as JSON pointers), and which scalars were
    /// written otherwise than their values are.
    pub fn marks(&self) -> (Vec<String>, Vec<Spelling>) {
        let (mut valueless, mut spellings) = (Vec::new(), Vec::new());
        self.walk(&mut Vec::new(), &mut |node, steps| {
            if let NodeKind::Null { written: false } = node.kind {
                valueless.push(pointer(steps));
            }
            if let Some(text) = &node.spelled {
                let value = node.clone().into_value();
                spellings.push(Spelling { pointer: pointer(steps), value, text: text.to_string() });
            }
        });
        (valueless, spellings)
    }

    /// Visits every value; few of them make a pointer of the steps to them.
    fn walk<'n>(&'n self, steps: &mut Vec<Step<'n>>, visit: &mut dyn FnMut(&Self, &[Step<'n>])) {
        visit(self, steps);
        match &self.kind {
            NodeKind::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    steps.push(Step::Index(at));
                    item.walk(steps, visit);
                    steps.pop();
                }
            }
            NodeKind::Mapping(entries) => {
                for entry in entries {
                    steps.push(Step::Key(&entry.key));
                    entry.value.walk(steps, visit);
                    steps.pop();
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
