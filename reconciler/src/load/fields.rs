//! Decoding a mapping field by field, collecting every error instead of stopping at the first.
//!
//! A decoder is a function from a [`Node`] to an `Option`: none means that it has said what is wrong. It asks for all of
//! its fields before it gives up, so that one run shows all of them.

use super::{
    config::Places,
    diagnostic::{Diagnostic, Position},
    node::{Entry, Kind, Node},
    scalars::quoted,
};
use lapdev_api::words::nearest;

/// Where decoders put what they find wrong, and the places of what they read.
#[derive(Debug)]
pub(super) struct Reader {
    pub errors: Vec<Diagnostic>,
    places: Places,
    field: String,
}

impl Reader {
    /// A reader for one document of a file.
    pub fn new(path: &str) -> Self {
        Self { errors: Vec::new(), places: Places { path: path.to_owned(), ..Places::default() }, field: String::new() }
    }

    /// What is wrong at a position; always none, so that a decoder can end with it.
    pub fn error<T>(&mut self, at: Position, message: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        let diagnostic = Diagnostic::new(self.places.path.clone(), at, message, expected);
        self.errors.push(diagnostic);
        None
    }

    /// The same for a value of a wrong type.
    pub fn wrong_type<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let what = match self.field.is_empty() {
            true => "the document".to_owned(),
            false => format!("`{}`", self.field),
        };
        self.error(node.at, format!("{what} is {}", node.type_name()), format!("expected {expected}"))
    }

    /// Decodes a part of a value: an entry (`.name`) or an item (`[0]`).
    pub fn part<T>(
        &mut self,
        segment: &str,
        node: &Node,
        decode: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        let length = self.field.len();
        if length > 0 && !segment.starts_with('[') {
            self.field.push('.');
        }
        self.field.push_str(segment);
        self.places.fields.insert(self.field.clone(), node.at);
        let decoded = decode(self, node);
        self.field.truncate(length);
        decoded
    }

    /// The errors and the places that were read.
    pub fn end(mut self) -> (Vec<Diagnostic>, Places) {
        self.places.partial = !self.errors.is_empty();
        (self.errors, self.places)
    }
}

/// The fields of one mapping, taken by name; those never asked for are unknown.
pub(super) struct Fields<'n> {
    at: Position,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The fields of a mapping; anything else is an error. Nothing at all is a mapping without fields.
    pub fn of(reader: &mut Reader, node: &'n Node) -> Option<Self> {
        let entries: &[Entry] = match &node.kind {
            Kind::Mapping(entries) => entries,
            Kind::Null => &[],
            _ => return reader.wrong_type(node, "a mapping"),
        };
        Some(Self { at: node.at, entries, known: Vec::new() })
    }

    /// Where the mapping begins.
    pub fn at(&self) -> Position {
        self.at
    }

    /// The entry of a field, which is known from now on; one without a value counts as absent.
    pub fn entry(&mut self, name: &'static str) -> Option<&'n Entry> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.entries.iter().find(|entry| entry.key == name && !entry.value.is_null())
    }

    /// A field that must be there. `expected` completes "expected …".
    pub fn required<T>(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
        expected: &str,
        decode: impl FnOnce(&mut Reader, &Node) -> Option<T>,
    ) -> Option<T> {
        match self.entry(name) {
            Some(entry) => reader.part(name, &entry.value, decode),
            None => {
                let empty = self.entries.iter().find(|entry| entry.key == name);
                let (at, what) = empty.map_or((self.at, "is missing"), |entry| (entry.at, "has no value"));
                reader.error(at, format!("`{name}` {what}"), format!("expected {expected}"))
            }
        }
    }

    /// A field that may be absent: `Some(None)`.
    pub fn optional<T>(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
        decode: impl FnOnce(&mut Reader, &Node) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.entry(name) {
            Some(entry) => reader.part(name, &entry.value, decode).map(Some),
            None => Some(None),
        }
    }

    /// A field with a default.
    pub fn or_default<T: Default>(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
        decode: impl FnOnce(&mut Reader, &Node) -> Option<T>,
    ) -> Option<T> {
        self.optional(reader, name, decode).map(Option::unwrap_or_default)
    }

    /// A field that is known, but not where it stands.
    pub fn refused(&mut self, reader: &mut Reader, name: &'static str, message: &str, expected: &str) -> Option<()> {
        match self.entry(name) {
            Some(entry) => reader.error(entry.at, message, expected),
            None => Some(()),
        }
    }

    /// Ends the mapping: every field that was not asked for is an error, which the value survives. Whether there is none.
    pub fn end(self, reader: &mut Reader) -> bool {
        let before = reader.errors.len();
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let expected = match nearest(&entry.key, self.known.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("expected one of: {}", self.known.join(", ")),
            };
            reader.error::<()>(entry.at, format!("unknown field {}", quoted(&entry.key)), expected);
        }
        reader.errors.len() == before
    }
}
