//! YAML inside of YAML: a text whose values change while its looks stay, as go-yaml's newer
//! generation writes it: styles of scalars, flow collections and the order of keys are kept,
//! sequences are not indented, and no line is folded.

use super::folded;
use super::scalar::{self, Dialect};
use super::style::{Analysis, is_break};
use super::{NodeKind, timestamp};
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};
use serde_json::{Map, Value};

/// How a value was written.
enum Looks {
    Scalar(ScalarStyle, String),
    Sequence { is_flow: bool, items: Vec<Looks> },
    Mapping { is_flow: bool, entries: Vec<(ScalarStyle, String, Looks)> },
}

/// Writes `changed` as `text` is written, whose value was `before`.
pub fn rewrite(text: &str, before: &Value, changed: &Value) -> Result<String, String> {
    let looks = read(text)?;
    let mut out = String::with_capacity(text.len());
    Writer { out: &mut out }.value(changed, Some((&looks, before)), 0, Place::Root);
    Ok(out.trim().to_owned())
}

fn read(text: &str) -> Result<Looks, String> {
    if text.lines().any(|line| line.trim_start().starts_with('#') || line.contains(" #") || line.contains("\t#")) {
        return Err("this text has comments, which a replacement inside of it would lose; remove them".to_owned());
    }
    let mut parser = Parser::new_from_str(text);
    loop {
        match next(&mut parser)? {
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => return looks(event, &mut parser),
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, granit_parser::StrInput<'t>>) -> Result<Event<'t>, String> {
    match parser.next_event() {
        // The parser's stand-in for a value that is not there.
        Some(Ok((Event::Scalar(_, style @ ScalarStyle::Plain, 0, None), span)))
            if span.start.index() == span.end.index() =>
        {
            Ok(Event::Scalar("".into(), style, 0, None))
        }
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(error.kind().to_string()),
        None => Ok(Event::StreamEnd),
    }
}

fn looks<'t>(event: Event<'t>, parser: &mut Parser<'t, granit_parser::StrInput<'t>>) -> Result<Looks, String> {
    match event {
        Event::Scalar(text, style, 0, None) => Ok(Looks::Scalar(style, text.into_owned())),
        Event::SequenceStart(style, 0, None) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Ok(Looks::Sequence { is_flow: style == StructureStyle::Flow, items }),
                    event => items.push(looks(event, parser)?),
                }
            }
        }
        Event::MappingStart(style, 0, None) => {
            let mut entries = Vec::new();
            loop {
                match next(parser)? {
                    Event::MappingEnd => return Ok(Looks::Mapping { is_flow: style == StructureStyle::Flow, entries }),
                    Event::Scalar(key, key_style, 0, None) if key != "<<" => {
                        let event = next(parser)?;
                        entries.push((key_style, key.into_owned(), looks(event, parser)?));
                    }
                    _ => return Err(TOO_RICH.to_owned()),
                }
            }
        }
        _ => Err(TOO_RICH.to_owned()),
    }
}

const TOO_RICH: &str = "a replacement inside of this text cannot keep its anchors, aliases, merge keys and tags";

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// After `key:`.
    Field,
    /// After `- `.
    Item,
    /// Between brackets or braces.
    Flow,
}

struct Writer<'o> {
    out: &'o mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, old: Option<(&Looks, &Value)>, indent: usize, place: Place) {
        let was_flow =
            matches!(old, Some((Looks::Sequence { is_flow: true, .. } | Looks::Mapping { is_flow: true, .. }, _)));
        let is_flow = place == Place::Flow || was_flow;
        match value {
            Value::Object(map) if is_flow || map.is_empty() => self.flow_mapping(map, old, place),
            Value::Array(items) if is_flow || items.is_empty() => self.flow_sequence(items, old, place),
            Value::Object(map) => self.mapping(map, old, indent, place),
            Value::Array(items) => self.sequence(items, old, indent, place),
            scalar => self.scalar(scalar, old, indent, place),
        }
    }

    fn mapping(&mut self, map: &Map<String, Value>, old: Option<(&Looks, &Value)>, indent: usize, place: Place) {
        let indent = match place {
            Place::Root => 0,
            _ => indent + 2,
        };
        if place == Place::Field {
            self.out.push('\n');
        }
        for (at, (style, key, value, old)) in fields(map, old).into_iter().enumerate() {
            if at > 0 || place != Place::Item {
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            self.text(key, style, true, indent, Place::Field);
            self.out.push(':');
            self.value(value, old, indent, Place::Field);
            self.end_line();
        }
    }

    fn sequence(&mut self, items: &[Value], old: Option<(&Looks, &Value)>, indent: usize, place: Place) {
        let indent = if place == Place::Item { indent + 2 } else { indent };
        if place == Place::Field {
            self.out.push('\n');
        }
        for (at, value) in items.iter().enumerate() {
            if at > 0 || place != Place::Item {
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            self.out.push_str("- ");
            self.value(value, item(old, at), indent, Place::Item);
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.out.ends_with(' ') {
            // Nothing came after the colon or the dash.
            self.out.pop();
        }
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn flow_mapping(&mut self, map: &Map<String, Value>, old: Option<(&Looks, &Value)>, place: Place) {
        self.space_after_colon(place);
        self.out.push('{');
        for (at, (style, key, value, old)) in fields(map, old).into_iter().enumerate() {
            if at > 0 {
                self.out.push_str(", ");
            }
            self.text(key, style, true, 0, Place::Flow);
            self.out.push_str(": ");
            self.value(value, old, 0, Place::Flow);
        }
        self.out.push('}');
    }

    fn flow_sequence(&mut self, items: &[Value], old: Option<(&Looks, &Value)>, place: Place) {
        self.space_after_colon(place);
        self.out.push('[');
        for (at, value) in items.iter().enumerate() {
            if at > 0 {
                self.out.push_str(", ");
            }
            self.value(value, item(old, at), 0, Place::Flow);
        }
        self.out.push(']');
    }

    fn space_after_colon(&mut self, place: Place) {
        if place == Place::Field {
            self.out.push(' ');
        }
    }

    fn scalar(&mut self, value: &Value, old: Option<(&Looks, &Value)>, indent: usize, place: Place) {
        self.space_after_colon(place);
        let (style, written) = match old {
            Some((Looks::Scalar(style, text), before)) => (*style, (before == value).then_some(text.as_str())),
            _ => (ScalarStyle::Plain, None),
        };
        let text = match (written, value) {
            (Some(text), _) => text.to_owned(),
            (None, Value::String(text)) => text.clone(),
            (None, other) => other.to_string(),
        };
        if text.is_empty() && value.is_null() {
            self.out.push_str(if place == Place::Flow { "''" } else { "" });
            return;
        }
        let indent = if place == Place::Root { 0 } else { indent + 2 };
        self.text(&text, style, value.is_string(), indent, place);
    }

    /// `is_text`: a text, which is quoted if it would read as something else.
    fn text(&mut self, text: &str, style: ScalarStyle, is_text: bool, indent: usize, place: Place) {
        let analysis = Analysis::of(text);
        let fits_block = place != Place::Flow && analysis.block_allowed;
        match style {
            ScalarStyle::SingleQuoted if analysis.single_allowed() => self.single(text),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.double(text),
            ScalarStyle::Literal if fits_block => self.literal(text, indent),
            ScalarStyle::Folded if fits_block => self.out.push_str(&folded::block(text, indent)),
            ScalarStyle::Plain if text.contains('\n') && fits_block => self.literal(text, indent),
            _ if is_text && reads_otherwise(text) => self.double(text),
            _ if analysis.plain_allowed()
                && !(place == Place::Flow && text.contains([',', '?', '[', ']', '{', '}', ':'])) =>
            {
                self.out.push_str(text);
            }
            _ if analysis.single_allowed() => self.single(text),
            _ => self.double(text),
        }
    }

    fn single(&mut self, text: &str) {
        self.out.push_str(&format!("'{}'", text.replace('\'', "''")));
    }

    fn double(&mut self, text: &str) {
        // JSON's escapes are YAML's.
        self.out.push_str(&Value::from(text).to_string());
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with(' ') || text.starts_with(is_break) {
            self.out.push('2');
        }
        match (text.ends_with('\n'), text.ends_with("\n\n") || text == "\n") {
            (false, _) => self.out.push('-'),
            (true, true) => self.out.push('+'),
            (true, false) => {}
        }
        self.out.push('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            self.out.push_str(line);
        }
        self.end_line();
    }
}

fn reads_otherwise(text: &str) -> bool {
    !matches!(scalar::resolve(text, Dialect::Object), Ok(NodeKind::String(_))) || timestamp::parse(text).is_some()
}

type Field<'v> = (ScalarStyle, &'v str, &'v Value, Option<(&'v Looks, &'v Value)>);

/// The fields of a mapping: those that were there in their order, then those that were made.
fn fields<'v>(map: &'v Map<String, Value>, old: Option<(&'v Looks, &'v Value)>) -> Vec<Field<'v>> {
    let (entries, before) = match old {
        Some((Looks::Mapping { entries, .. }, before)) => (entries.as_slice(), before),
        _ => (&[][..], &Value::Null),
    };
    let kept = entries.iter().filter_map(|(style, key, looks)| {
        let old = before.get(key).map(|before| (looks, before));
        Some((*style, key.as_str(), map.get(key)?, old))
    });
    let is_new = |key: &str| !entries.iter().any(|(_, known, _)| known == key);
    let made = map.iter().filter(|(key, _)| is_new(key));
    kept.chain(made.map(|(key, value)| (ScalarStyle::Plain, key.as_str(), value, None))).collect()
}

fn item<'v>(old: Option<(&'v Looks, &'v Value)>, at: usize) -> Option<(&'v Looks, &'v Value)> {
    match old {
        Some((Looks::Sequence { items, .. }, before)) => Some((items.get(at)?, before.get(at)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::yaml::single;

    fn value(text: &str) -> Value {
        single(text, Dialect::Object, &Limits::default()).expect("valid").into_value()
    }

    #[test]
    fn looks_stay() {
        for text in [
            "b: 1\na: 'x'\nc: \"y\"\nl:\n- k: v\n  w:\n  - 1.0\n- []\nf: {z: [1, b], y: ~x}\nt: |\n  two\n  lines\ns: >-\n  one\nn: ~\ne:\nlast: 010",
            "- - a\n  - b\n- {}",
        ] {
            assert_eq!(rewrite(text, &value(text), &value(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_changed_value_keeps_its_quotes_and_a_made_one_comes_last() {
        let (before, after) = ("a: 'x'\nb: y", "a: '5'\nb: \"5\"\nc:\n  d: 1");
        assert_eq!(rewrite(before, &value(before), &value(after)).as_deref(), Ok(after));
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for text in ["a: 1 # why", "a: &b 1\nc: *b", "a: !x 1"] {
            assert!(rewrite(text, &value(text), &Value::Null).is_err(), "{text}");
        }
    }
}
