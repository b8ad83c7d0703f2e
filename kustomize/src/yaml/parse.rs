//! Text to values: budgets, aliases, merge keys and duplicate keys. Nothing here knows Kubernetes.

use super::breaks;
use super::folded;
use super::mend;
use super::node::{Entry, Node, NodeKind};
use super::scalar::{self, Dialect};
use crate::error::{Position, Problem};
use crate::options::Limits;
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};
use std::collections::HashMap;

/// A problem and where in the text it is.
pub type Failure = (Position, Problem);

/// Stands in the mapping of a patch for a key that occurs twice, and names it. Nobody writes this.
pub const REPEATED: &str = "\0repeated";

/// Every document of a text; an empty document is `Null`.
pub fn documents(text: &str, dialect: Dialect, limits: &Limits) -> Result<Vec<Node>, Failure> {
    mending(text, |text| {
        let mut reader = Reader::new(text, dialect, limits);
        let mut documents = Vec::new();
        while let Some(node) = reader.document()? {
            documents.push(node);
        }
        Ok(documents)
    })
}

/// The first document of a text; `Null` if there is none. What follows it is not read.
pub fn single(text: &str, dialect: Dialect, limits: &Limits) -> Result<Node, Failure> {
    let none = Node::new(Position { line: 1, column: 1 }, NodeKind::Null { written: false });
    let first = mending(text, |text| Reader::new(text, dialect, limits).document())?;
    Ok(first.unwrap_or(none))
}

/// Reads a text, and once more if it is only the parser that cannot.
fn mending<T>(text: &str, read: impl Fn(&str) -> Result<T, Failure>) -> Result<T, Failure> {
    match read(text) {
        Err(failure @ (_, Problem::Syntax(_))) => mend::mended(text).map_or(Err(failure), |text| read(&text)),
        read => read,
    }
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    dialect: Dialect,
    limits: Limits,
    /// The length of the text if its last line does not end.
    unended: Option<usize>,
    /// Values that aliases may name, with the number of values inside each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, dialect: Dialect, limits: &Limits) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(false);
        let parser = Parser::new_from_str_with_options(text, options);
        let unended = (!text.ends_with('\n')).then_some(text.len());
        Self { text, parser, unended, dialect, limits: *limits, anchors: HashMap::new(), nodes: 0 }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Failure> {
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

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Failure> {
        let at = position(&span.start);
        if depth > self.limits.nesting {
            return Err((at, Problem::TooDeep(self.limits.nesting)));
        }
        self.count(1, at)?;
        let before = self.nodes;
        let mut spelled = None;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = self.ended(&text, style, span);
                let refolded = self.refolded(style, span);
                let text = refolded.as_deref().unwrap_or(text);
                let reread = self.reread(text, style);
                let kind = self.scalar(reread.as_deref().unwrap_or(text), style, tag.as_deref(), at)?;
                spelled = kind.is_spelled_otherwise(text).then(|| text.into());
                (kind, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(style, anchor, _) => (self.mapping(depth, style == StructureStyle::Flow)?, anchor),
            Event::Alias(id) => return self.alias(id, at),
            _ => return Err((at, Problem::Syntax("a value was expected here".to_owned()))),
        };
        let node = Node { at, kind, spelled };
        if anchor != 0 {
            // The copy that aliases are made from counts too: anchors can nest.
            let size = self.nodes - before + 1;
            self.count(size, at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Failure> {
        self.nodes += nodes;
        match self.nodes > self.limits.nodes {
            true => Err((at, Problem::TooLarge(self.limits.nodes, "values, aliases expanded"))),
            false => Ok(()),
        }
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Node, Failure> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err((at, Problem::Syntax("an alias inside of the value that it names".to_owned())));
        };
        let (size, node) = (*size, (size + self.nodes <= self.limits.nodes).then(|| node.clone()));
        self.count(size, at)?;
        node.map(|node| Node { at, ..node }).ok_or((at, Problem::TooLarge(self.limits.nodes, "values")))
    }

    /// The value as the reference reads it: a block scalar that the end of the text cuts off has no
    /// last line break.
    fn ended<'v>(&self, value: &'v str, style: ScalarStyle, span: &Span) -> &'v str {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if value == "~" && span.start.index() == span.end.index() {
            // The parser's stand-in for a value that is not there.
            return "";
        }
        let is_cut_off = is_block && self.unended.is_some() && span.end.byte_offset() == self.unended;
        match value.strip_suffix('\n').filter(|_| is_cut_off) {
            // Blanks before the end of the text are its last line only where they are deeper than the block.
            Some(rest) if !is_blank(last_line(self.text)) || (is_blank(last_line(rest)) && !rest.ends_with('\n')) => {
                rest
            }
            _ => value,
        }
    }

    /// A quoted text with breaks that the parser does not know.
    fn refolded(&self, style: ScalarStyle, span: &Span) -> Option<String> {
        match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => breaks::fold(span.slice(self.text)?),
            _ => None,
        }
    }

    /// Whether the reference writes the text anew and reads that, as it does with objects.
    fn is_passed_on(&self) -> bool {
        self.dialect != Dialect::Kustomization
    }

    /// A folded text after the reference has written it and read it again, if that makes a difference.
    fn reread(&self, text: &str, style: ScalarStyle) -> Option<String> {
        if style != ScalarStyle::Folded || !self.is_passed_on() {
            return None;
        }
        let written = folded::write(text)?;
        let limits = Limits { nesting: 1, ..self.limits };
        match single(&written, Dialect::Kustomization, &limits).ok()?.kind {
            NodeKind::String(reread) => Some(reread),
            _ => None,
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<NodeKind, Failure> {
        let core = tag.and_then(Tag::core_suffix);
        let plain = match (core, tag) {
            (Some("str"), _) => false,
            (Some(_), _) => true,
            (None, Some(_)) => false,
            (None, None) => style == ScalarStyle::Plain,
        };
        if !plain {
            return Ok(NodeKind::String(text.to_owned()));
        }
        scalar::resolve(text, self.dialect).map_err(|scalar::NotFinite| {
            (at, Problem::Invalid(format!("`{text}` is not a finite number; quote it if it is text")))
        })
    }

    fn sequence(&mut self, depth: usize) -> Result<NodeKind, Failure> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(NodeKind::Sequence(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize, is_flow: bool) -> Result<NodeKind, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut seen = Seen::default();
        let mut repeated: Option<Entry> = None;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, &span, depth + 1)?;
            if is_flow && self.is_passed_on() && matches!(value.kind, NodeKind::Null { written: false }) {
                // Between braces the reference writes nothing as an empty text in the end.
                value.spelled = Some("".into());
            }
            if is_merge {
                merged.extend(merge_sources(value)?);
                continue;
            }
            let entry = Entry { at: key.at, key: self.key(key)?, value };
            match seen.position(&entries, &entry.key) {
                None => entries.push(entry),
                Some(_) if self.dialect == Dialect::Object => return Err((entry.at, Problem::DuplicateKey(entry.key))),
                // The first one counts where the patch meets a mapping; elsewhere it is an error.
                Some(_) if self.dialect == Dialect::Patch => repeated = repeated.or(Some(entry)),
                Some(index) => entries[index] = entry,
            }
        }
        for entry in merged {
            // What the mapping says itself wins over what it merges, and the first merged wins over later ones.
            if seen.position(&entries, &entry.key).is_none() {
                entries.push(entry);
            }
        }
        if let Some(Entry { key, at, .. }) = repeated {
            let value = Node::new(at, NodeKind::String(key));
            entries.push(Entry { key: REPEATED.to_owned(), at, value });
        }
        Ok(NodeKind::Mapping(entries))
    }

    fn key(&self, key: Node) -> Result<String, Failure> {
        match (key.kind, self.dialect) {
            (NodeKind::String(text), _) => Ok(text),
            (NodeKind::Bool(value), Dialect::Kustomization) => Ok(value.to_string()),
            (NodeKind::Number(value), Dialect::Kustomization) => Ok(value.to_string()),
            _ => Err((key.at, Problem::Invalid("a key must be a string; quote it".to_owned()))),
        }
    }
}

/// The keys of a mapping so far. Few are compared one by one, since nearly every mapping has few.
#[derive(Default)]
struct Seen(HashMap<String, usize>);

impl Seen {
    /// As many as are compared one by one.
    const FEW: usize = 16;

    fn position(&mut self, entries: &[Entry], key: &str) -> Option<usize> {
        if entries.len() <= Self::FEW {
            return entries.iter().position(|entry| entry.key == key);
        }
        for (at, entry) in entries.iter().enumerate().skip(self.0.len()) {
            self.0.insert(entry.key.clone(), at);
        }
        self.0.get(key).copied()
    }
}

fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or(text)
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte == b' ')
}

fn merge_sources(value: Node) -> Result<Vec<Entry>, Failure> {
    match value.kind {
        NodeKind::Mapping(entries) => Ok(entries),
        NodeKind::Sequence(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(merge_sources(item)?);
            }
            Ok(all)
        }
        _ => Err((value.at, Problem::Invalid("`<<` merges a mapping or a list of mappings".to_owned()))),
    }
}

fn position(mark: &Marker) -> Position {
    let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: count(mark.line()), column: count(mark.col()).saturating_add(1) }
}

fn syntax(error: &ScanError) -> Failure {
    (position(error.marker()), Problem::Syntax(error.kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Result<Value, Failure> {
        single(text, Dialect::Object, &Limits::default()).map(Node::into_value)
    }

    #[test]
    fn merge_keys_yield_to_what_the_mapping_says_itself() {
        let value = read("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n").expect("valid");
        assert_eq!(value["b"], json!({"x": 1, "y": 3}));
    }

    #[test]
    fn an_alias_bomb_stops_at_the_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{items}]\n");
        }
        let (at, problem) = read(&text).expect_err("too large");
        assert!(matches!(problem, Problem::TooLarge(..)), "{problem}");
        assert!(at.line > 1);
    }

    #[test]
    fn deep_nesting_and_circles_are_errors() {
        assert!(read(&"[".repeat(1_000_000)).is_err());
        assert!(read(&"a:\n ".repeat(300)).is_err());
        assert!(read("a: &a [*a]\n").is_err());
    }

    #[test]
    fn duplicate_and_unusual_keys_are_errors_in_objects_only() {
        let (at, problem) = read("a: 1\nb: 2\na: 3\n").expect_err("duplicate");
        assert!(matches!(problem, Problem::DuplicateKey(key) if key == "a"));
        assert_eq!((at.line, at.column), (3, 1));
        assert!(read("1: x\n").is_err());
        let lenient = single("a: 1\na: 3\n", Dialect::Kustomization, &Limits::default());
        assert_eq!(lenient.map(Node::into_value).expect("lenient"), json!({"a": 3}));
    }

    #[test]
    fn quoted_and_tagged_scalars_stay_strings() {
        assert_eq!(read("[\"1\", '1', !!str 1, 1, |\n  1\n]").ok(), None);
        assert_eq!(
            read("- \"1\"\n- '1'\n- !!str 1\n- 1\n- !!int \"1\"\n").expect("valid"),
            json!(["1", "1", "1", 1, 1])
        );
    }

    #[test]
    fn a_block_that_the_text_cuts_off_ends_as_its_last_line_does() {
        for (text, value) in [
            ("a: |\n  b\n", "b\n"),
            ("a: |\n  b", "b"),
            ("a: |\n  b\n ", "b\n"),
            ("a: |\n  b \n  ", "b \n"),
            ("a: |+\n  b\n\n  ", "b\n\n"),
            ("a: |\n  b\n    ", "b\n  "),
            ("a: |\n  b\n   c", "b\n c"),
        ] {
            assert_eq!(read(text).expect("valid")["a"], value, "{text:?}");
        }
    }

    #[test]
    fn documents_are_separate() {
        let read =
            documents("\u{feff}---\na: 1\r\n---\n---\n- b\n", Dialect::Object, &Limits::default()).expect("valid");
        let values: Vec<Value> = read.into_iter().map(Node::into_value).collect();
        assert_eq!(values, [json!({"a": 1}), Value::Null, json!(["b"])]);
    }
}
