//! Schemas that a text gives its fields in comments, as in
//! `ports: # {"type":"array","x-kubernetes-patch-strategy":"merge","x-kubernetes-patch-merge-key":"port"}`.
//! They stand at the end of the line of the field's name, or alone in the line above it. Those inside of
//! an element of a list go with that element, which is known by its scalars wherever it moves.

use super::elements;
use crate::yaml::{Node, NodeKind};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schemas in the comments of a mapping, by field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaComments {
    schema: Option<Value>,
    fields: BTreeMap<String, Self>,
    elements: Vec<(BTreeMap<String, String>, Self)>,
}

impl SchemaComments {
    /// The lines of a text, if any could hold a schema; few texts have one.
    pub fn lines(text: &str) -> Option<Vec<&str>> {
        (text.contains("#{") || text.contains("# {")).then(|| text.lines().collect())
    }

    /// The comments of a document in these lines; `None` if there are none.
    pub fn read(document: &Node, lines: &[&str]) -> Option<Self> {
        Some(Self::of_node(document, lines)).filter(|found| !found.is_empty())
    }

    fn of_node(node: &Node, lines: &[&str]) -> Self {
        let mut found = Self::default();
        if let NodeKind::Sequence(items) = &node.kind {
            let elements = items.iter().map(|item| (scalars(item), Self::of_node(item, lines)));
            found.elements = elements.filter(|(_, inner)| !inner.is_empty()).collect();
        }
        let NodeKind::Mapping(entries) = &node.kind else { return found };
        for entry in entries {
            let mut inner = Self::of_node(&entry.value, lines);
            let line = usize::try_from(entry.at.line).unwrap_or_default().checked_sub(1);
            // Only lists and mappings have schemas that matter.
            if matches!(entry.value.kind, NodeKind::Sequence(_) | NodeKind::Mapping(_)) {
                inner.schema = line.and_then(|line| schema_at(lines, line));
            }
            if !inner.is_empty() {
                found.fields.insert(entry.key.clone(), inner);
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        self.schema.is_none() && self.fields.is_empty() && self.elements.is_empty()
    }

    /// What is said about a field and what is inside of it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name)
    }

    /// What is said inside of the element that has these values.
    pub fn element(&self, keys: &[&str], values: &[String]) -> Option<&Self> {
        let is_it = |scalars: &BTreeMap<String, String>| {
            !keys.is_empty() && keys.iter().zip(values).all(|(key, value)| scalars.get(*key) == Some(value))
        };
        self.elements.iter().find(|(scalars, _)| is_it(scalars)).map(|(_, inner)| inner)
    }

    /// The schema of the value itself.
    pub fn schema(&self) -> Option<&Value> {
        self.schema.as_ref()
    }

    /// Adds the comments of a patch, which win.
    pub fn add(&mut self, patch: &Self) {
        if patch.schema.is_some() {
            self.schema.clone_from(&patch.schema);
        }
        for (name, comments) in &patch.fields {
            self.fields.entry(name.clone()).or_default().add(comments);
        }
        self.elements.splice(0..0, patch.elements.iter().cloned());
    }
}

/// The fields of a mapping that hold scalars, as they are compared.
fn scalars(node: &Node) -> BTreeMap<String, String> {
    let NodeKind::Mapping(entries) = &node.kind else { return BTreeMap::new() };
    let scalars =
        entries.iter().filter(|entry| !matches!(entry.value.kind, NodeKind::Sequence(_) | NodeKind::Mapping(_)));
    scalars.map(|entry| (entry.key.clone(), elements::text(&entry.value.clone().into_value()))).collect()
}

/// The schema in the comment that ends a line, or else in the one line of comment above it.
fn schema_at(lines: &[&str], at: usize) -> Option<Value> {
    let comment = |line: Option<&&str>| line.is_some_and(|line| line.trim_start().starts_with('#'));
    let line = |back: usize| at.checked_sub(back).and_then(|line| lines.get(line));
    let is_alone = comment(line(1)) && !comment(line(2));
    let above = || line(1).filter(|_| is_alone).and_then(|line| schema_in(&format!(" {line}")));
    line(0).and_then(|line| schema_in(line)).or_else(above)
}

/// The schema in the comment that ends a line.
fn schema_in(line: &str) -> Option<Value> {
    line.match_indices('#').find_map(|(at, _)| {
        let is_comment = line[..at].ends_with([' ', '\t']);
        let json = line[at..].trim_start_matches('#').trim();
        let schema: Value = if is_comment && json.starts_with('{') { serde_json::from_str(json).ok()? } else { None? };
        schema.as_object().is_some_and(|schema| !schema.is_empty()).then_some(schema)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::yaml::{self, Dialect};
    use serde_json::json;

    fn read(text: &str) -> Option<SchemaComments> {
        let node = yaml::single(text, Dialect::Object, &Limits::default()).expect("valid");
        SchemaComments::read(&node, &SchemaComments::lines(text)?)
    }

    #[test]
    fn a_comment_belongs_to_the_field_of_its_line() {
        let found = read("a:\n  b: # {\"type\":\"array\"}\n  - x # {\"c\":1}\nd: [] #{\"e\": 1}\n").expect("comments");
        let at = |path: &[&str]| path.iter().try_fold(&found, |found, name| found.field(name)).cloned();
        assert_eq!(at(&["a", "b"]).expect("there").schema(), Some(&json!({"type": "array"})));
        assert_eq!(at(&["d"]).expect("there").schema(), Some(&json!({"e": 1})));
        assert_eq!(at(&["a"]).expect("on the way").schema(), None);
        let above = "a: b\n# {\"type\":\"array\"}\nc:\n- d\n";
        assert_eq!(
            read(above).expect("a comment").field("c").and_then(SchemaComments::schema),
            Some(&json!({"type": "array"}))
        );
        assert_eq!(read(&above.replace("a: b", "# more")), None);
    }

    #[test]
    fn other_comments_and_text_with_a_hash_say_nothing() {
        assert_eq!(read("a: # hello\n- b\n"), None);
        assert_eq!(read("a: # {}\n- b\n"), None);
        assert_eq!(read("a: # {not json\n- b\n"), None);
        assert_eq!(read("a: [\"x # {}\"]\n"), None);
        assert_eq!(read("a: x # {\"type\":\"array\"}\n"), None);
    }

    #[test]
    fn the_comments_of_a_patch_win() {
        let mut target = read("a: # {\"x\":1}\n- b\nc: # {\"y\":1}\n- d\n").expect("comments");
        target.add(&read("a: # {\"x\":2}\n- b\n").expect("comments"));
        assert_eq!(target.field("a").and_then(SchemaComments::schema), Some(&json!({"x": 2})));
        assert_eq!(target.field("c").and_then(SchemaComments::schema), Some(&json!({"y": 1})));
    }
}
