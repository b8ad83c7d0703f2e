//! Text to [`Node`]s: every document of a file, with as many of its errors as can be known. Bounds against alias bombs
//! and deep nesting are here; nothing here knows our kinds. Messages never quote the file.

use super::{
    diagnostic::Position,
    node::{Entry, Kind, Node, resolve},
};
use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::collections::HashMap;

/// Values of one file, aliases expanded.
const MAX_NODES: usize = 100_000;
/// Levels of nesting.
const MAX_DEPTH: usize = 64;
/// A file with more broken documents than this is told so once.
const MAX_BROKEN: usize = 100;

/// One document.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Its value; none if it has an error that left no value.
    pub root: Option<Node>,
    /// What is wrong with its YAML.
    pub faults: Vec<Fault>,
}

/// What is wrong in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: Position,
    pub message: String,
    pub expected: String,
}

impl Fault {
    fn new(at: Position, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { at, message: message.into(), expected: format!("expected {}", expected.into()) }
    }
}

/// Every document of a text. After an error inside one, reading goes on at the next.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let mut reader = Reader::new(text);
    let mut documents = Vec::new();
    let mut broken = 0;
    loop {
        let read = reader.document();
        let faults = std::mem::take(&mut reader.faults);
        match read {
            Ok(None) if faults.is_empty() => return documents,
            Ok(root) => documents.push(Document { root, faults }),
            Err(fault) => {
                documents.push(Document { root: None, faults: faults.into_iter().chain([fault]).collect() });
                broken += 1;
                let spent = reader.nodes > MAX_NODES || broken == MAX_BROKEN;
                if spent || !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// Values that aliases may name, with the number of values inside each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let parser = Parser::new_from_str_with_options(text, options);
        Self { parser, anchors: HashMap::new(), nodes: 0, faults: Vec::new() }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart | Event::DocumentStart(..) => self.anchors.clear(),
                Event::DocumentEnd => {}
                event => return self.node(event, &span, 0).map(Some),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Fault> {
        let at = position(&span.start);
        if depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let before = self.nodes;
        self.count(1, at)?;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(id) => return self.alias(id, at),
            _ => return Err(Fault::new(at, "a value is missing here", "a string, number, list or mapping")),
        };
        let node = Node { at, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        match self.nodes > MAX_NODES {
            true => Err(Fault::new(
                at,
                "the file has too many values once its aliases are expanded",
                format!("at most {MAX_NODES} values; write out or split what the aliases repeat"),
            )),
            false => Ok(()),
        }
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Node, Fault> {
        // Counted before it is copied, or a bomb would have gone off already.
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            return Err(Fault::new(at, "an alias inside of the very value that it names", "a value without a circle"));
        };
        self.count(size, at)?;
        let kind = self.anchors.get(&id).map_or(Kind::Null, |(node, _)| node.kind.clone());
        Ok(Node { at, kind })
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::Sequence(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Position> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            if is_merge {
                self.merge(value, &mut merged);
            } else if let Some(name) = self.key(&key) {
                match seen.get(&name) {
                    Some(first) => self.faults.push(duplicate(&name, key.at, *first)),
                    None => {
                        seen.insert(name.clone(), key.at);
                        entries.push(Entry { key: name, at: key.at, value });
                    }
                }
            }
        }
        for entry in merged {
            // What the mapping says itself wins over what it merges, and the first merged over later ones.
            if !seen.contains_key(&entry.key) {
                seen.insert(entry.key.clone(), entry.at);
                entries.push(entry);
            }
        }
        Ok(Kind::Mapping(entries))
    }

    fn key(&mut self, key: &Node) -> Option<String> {
        if let Kind::String(text) = &key.kind {
            return Some(text.clone());
        }
        let message = format!("{} stands where a key should", key.type_name());
        self.faults.push(Fault::new(key.at, message, "a string as key; quote it if it is one"));
        None
    }

    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        match value.kind {
            Kind::Mapping(entries) => merged.extend(entries),
            Kind::Sequence(items) if items.iter().all(|i| matches!(i.kind, Kind::Mapping(_))) => {
                for item in items {
                    self.merge(item, merged);
                }
            }
            _ => {
                let message = format!("`<<` cannot merge {}", value.type_name());
                self.faults.push(Fault::new(value.at, message, "a mapping or a list of mappings"));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    let plain = match tag {
        // `!!int "1"` asks for the meaning of the text, any other tag for the text itself.
        Some(tag) => tag.core_suffix().is_some_and(|suffix| suffix != "str"),
        None => style == ScalarStyle::Plain,
    };
    if plain { resolve(text) } else { Kind::String(text.to_owned()) }
}

fn duplicate(name: &str, at: Position, first: Position) -> Fault {
    let message = format!("the key {} occurs twice in this mapping", super::scalars::quoted(name));
    Fault::new(at, message, format!("it once; it is already at line {}, column {}", first.line, first.column))
}

fn position(mark: &Marker) -> Position {
    let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: count(mark.line()).max(1), column: count(mark.col()).saturating_add(1) }
}

fn syntax(error: &ScanError) -> Fault {
    let at = position(error.marker());
    let text = error.kind().to_string();
    if text.contains("recursion limit") {
        return too_deep(at);
    }
    let expected = match text.contains("tab") {
        true => "spaces, not tabs, for indentation",
        false => "YAML; check indentation, quotes and brackets from here upwards",
    };
    Fault::new(at, format!("not valid YAML: {text}"), expected)
}

fn too_deep(at: Position) -> Fault {
    Fault::new(at, "values are nested too deeply", format!("at most {MAX_DEPTH} levels"))
}
