//! Strict decoding of kustomization files: a value with its place, and the types a field may have.
//!
//! The reference ignores the case of field names, takes `null` for absent, and never converts.

use crate::error::{Error, Place, Problem};
use crate::path::TreePath;
use crate::yaml::{Entry, Node, NodeKind};
use std::collections::BTreeMap;

/// A value of a kustomization file and where it stands.
#[derive(Clone, Debug)]
pub struct Field<'k> {
    node: &'k Node,
    file: &'k TreePath,
    path: String,
    /// The reference reads the settings of plugins less strictly than kustomizations: unknown
    /// fields do nothing, and numbers and booleans pass for text.
    lenient: bool,
}

/// A string and where it stands.
#[derive(Clone, Debug)]
pub struct Text {
    pub value: String,
    pub place: Place,
}

/// The fields of a mapping whose names are all known.
#[derive(Debug)]
pub struct Fields<'k> {
    entries: &'k [Entry],
    parent: Field<'k>,
}

impl<'k> Field<'k> {
    pub fn root(node: &'k Node, file: &'k TreePath) -> Self {
        Self { node, file, path: String::new(), lenient: false }
    }

    /// The settings of a plugin.
    pub fn lenient(node: &'k Node, file: &'k TreePath) -> Self {
        Self { node, file, path: String::new(), lenient: true }
    }

    pub fn file(&self) -> &'k TreePath {
        self.file
    }

    pub fn place(&self) -> Place {
        Place::at(self.file, self.node.at).field(self.path.as_str())
    }

    pub fn error(&self, problem: Problem) -> Error {
        Error::new(self.place(), problem)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node.kind, NodeKind::Null { .. })
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, Error> {
        Err(self.error(Problem::WrongType { expected, found: self.node.type_name() }))
    }

    /// The value as it stands.
    pub fn value(&self) -> serde_json::Value {
        self.node.clone().into_value()
    }

    /// A string; empty for null.
    pub fn string(&self) -> Result<String, Error> {
        match &self.node.kind {
            NodeKind::String(text) => Ok(text.clone()),
            NodeKind::Null { .. } => Ok(String::new()),
            NodeKind::Bool(value) if self.lenient => Ok(value.to_string()),
            NodeKind::Number(value) if self.lenient => Ok(value.to_string()),
            NodeKind::Bool(_) | NodeKind::Number(_) => self.wrong("a string (quote it)"),
            _ => self.wrong("a string"),
        }
    }

    /// A string with its place.
    pub fn text(&self) -> Result<Text, Error> {
        Ok(Text { value: self.string()?, place: self.place() })
    }

    /// A boolean; false for null.
    pub fn boolean(&self) -> Result<bool, Error> {
        match &self.node.kind {
            NodeKind::Bool(value) => Ok(*value),
            NodeKind::Null { .. } => Ok(false),
            _ => self.wrong("true or false"),
        }
    }

    /// A whole number; zero for null.
    pub fn integer(&self) -> Result<i64, Error> {
        match &self.node.kind {
            NodeKind::Number(value) => value.as_i64().map_or_else(|| self.wrong("a whole number"), Ok),
            NodeKind::Null { .. } => Ok(0),
            _ => self.wrong("a whole number"),
        }
    }

    /// The items of a list; none for null.
    pub fn items(&self) -> Result<Vec<Field<'k>>, Error> {
        match &self.node.kind {
            NodeKind::Sequence(items) => {
                Ok(items.iter().enumerate().map(|(at, node)| self.child(node, &format!("[{at}]"))).collect())
            }
            NodeKind::Null { .. } => Ok(Vec::new()),
            _ => self.wrong("a list"),
        }
    }

    /// The strings of a list.
    pub fn texts(&self) -> Result<Vec<Text>, Error> {
        self.items()?.iter().map(Field::text).collect()
    }

    /// A list whose items are all read the same way.
    pub fn list<T>(&self, read: impl Fn(&Field<'k>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        self.items()?.iter().map(read).collect()
    }

    /// A mapping of strings.
    pub fn pairs(&self) -> Result<BTreeMap<String, String>, Error> {
        match &self.node.kind {
            NodeKind::Mapping(entries) => entries
                .iter()
                .map(|entry| Ok((entry.key.clone(), self.child(&entry.value, &format!(".{}", entry.key)).string()?)))
                .collect(),
            NodeKind::Null { .. } => Ok(BTreeMap::new()),
            _ => self.wrong("a mapping of strings"),
        }
    }

    /// A mapping with none but the known fields.
    pub fn mapping(&self, known: &[&'static str]) -> Result<Fields<'k>, Error> {
        let entries = match &self.node.kind {
            NodeKind::Mapping(entries) => entries.as_slice(),
            NodeKind::Null { .. } => &[],
            _ => return self.wrong("a mapping"),
        };
        for entry in entries.iter().filter(|_| !self.lenient) {
            if !known.iter().any(|name| name.eq_ignore_ascii_case(&entry.key)) {
                let problem = Problem::UnknownField { name: entry.key.clone(), nearest: nearest(&entry.key, known) };
                let place = Place::at(self.file, entry.at).field(self.path.as_str());
                return Err(Error::new(place, problem));
            }
        }
        Ok(Fields { entries, parent: self.clone() })
    }

    fn child(&self, node: &'k Node, step: &str) -> Field<'k> {
        let path = match self.path.is_empty() {
            true => step.trim_start_matches('.').to_owned(),
            false => format!("{}{step}", self.path),
        };
        Field { node, file: self.file, path, lenient: self.lenient }
    }
}

impl<'k> Fields<'k> {
    /// The field of that name; the last one if it is written more than once, as the reference has it.
    pub fn get(&self, name: &str) -> Option<Field<'k>> {
        let entry = self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(name))?;
        let field = self.parent.child(&entry.value, &format!(".{name}"));
        (!field.is_null()).then_some(field)
    }

    pub fn string(&self, name: &str) -> Result<String, Error> {
        self.get(name).map_or_else(|| Ok(String::new()), |field| field.string())
    }

    /// A string that is there and not empty.
    pub fn text(&self, name: &str) -> Result<Option<Text>, Error> {
        let text = self.get(name).map(|field| field.text()).transpose()?;
        Ok(text.filter(|text| !text.value.is_empty()))
    }

    pub fn boolean(&self, name: &str) -> Result<bool, Error> {
        self.get(name).map_or(Ok(false), |field| field.boolean())
    }

    pub fn texts(&self, name: &str) -> Result<Vec<Text>, Error> {
        self.get(name).map_or_else(|| Ok(Vec::new()), |field| field.texts())
    }

    pub fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        self.get(name).map_or_else(|| Ok(BTreeMap::new()), |field| field.pairs())
    }

    pub fn list<T>(&self, name: &str, read: impl Fn(&Field<'k>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        self.get(name).map_or_else(|| Ok(Vec::new()), |field| field.list(read))
    }
}

/// The known name that differs in the fewest letters, if few enough.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let distance = |known: &str| distance(&name.to_lowercase(), &known.to_lowercase());
    let best = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(best) <= 1 + name.len() / 4).then_some(best)
}

/// How many letters must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
