//! What the reference's YAML reader takes and the parser beneath this one refuses: mended in the text where the parser
//! stopped, so that it means to the parser what it means to the reference. Lines stay lines, for errors.
//!
//! A text that is read at its first try never comes here.

use granit_parser::{ErrorKind, Options, Parser, ScanError};

/// How often a text may be read again, in bytes: a small one often, a large one never for seconds.
const ALWAYS: usize = 1 << 18;
const TIMES: usize = 64;
const AT_MOST: usize = 32 << 20;
/// Deeper than any key stands that is not there to be one.
const INDENT: &str = "                                                                ";

/// The text with all such places mended; `None` if there are none.
pub fn mended(text: &str) -> Option<String> {
    let (mut changed, mut left) = (false, text.len().saturating_mul(TIMES).saturating_add(ALWAYS).min(AT_MOST));
    let documents = documents(text).map(|document| match mended_document(document, &mut left) {
        Some(mended) => {
            changed = true;
            mended
        }
        None => document.to_owned(),
    });
    let mended: String = documents.collect();
    changed.then_some(mended)
}

/// The text in pieces that begin with a line `---`, as the reference cuts it.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (document, after) = match text.find("\n---") {
            Some(at) => (&text[..=at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(document)
    })
}

/// Reads the document until nothing in it can be mended any more, or too much was read.
fn mended_document(document: &str, left: &mut usize) -> Option<String> {
    let mut mended = mend(document, &stopped(document)?)?;
    while let Some(still) = left.checked_sub(mended.len()) {
        *left = still;
        match stopped(&mended).and_then(|error| mend(&mended, &error)) {
            Some(again) => mended = again,
            None => break,
        }
    }
    Some(mended)
}

/// What stops the parser.
fn stopped(text: &str) -> Option<ScanError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    std::iter::from_fn(|| parser.next_event()).find_map(Result::err)
}

/// The text with one place mended.
fn mend(text: &str, error: &ScanError) -> Option<String> {
    let at = error.marker().byte_offset().filter(|at| text.is_char_boundary(*at))?;
    match error.kind() {
        // Quoted lines may stand anywhere.
        ErrorKind::InvalidQuotedScalarIndent => indented(text, at),
        // `[cat, -]`
        ErrorKind::PlainScalarStartsWithDashFlowIndicator => replaced(text, at, "-", "'-'"),
        // `"it\'s"`
        ErrorKind::UnknownQuotedScalarEscape => replaced(text, odd_escape(text, at)?, "\\'", "'"),
        // `"b"#c`
        ErrorKind::CommentNotSeparated => replaced(text, at, "#", " #"),
        _ => None,
    }
}

/// Where a text in double quotes, which begins at a place, escapes a single one.
fn odd_escape(text: &str, at: usize) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(at + 1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' if bytes.next()?.1 == b'\'' => return Some(at),
            _ => {}
        }
    }
    None
}

fn replaced(text: &str, at: usize, old: &str, new: &str) -> Option<String> {
    let rest = text[at..].strip_prefix(old)?;
    Some(format!("{}{new}{rest}", &text[..at]))
}

/// The lines of a quoted text from a place on, deeper than the key: as far as no quote can end it. Nothing if that was done
/// before and did not help.
fn indented(text: &str, at: usize) -> Option<String> {
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    if text[begin..].starts_with(INDENT) {
        return None;
    }
    let mut mended = text[..begin].to_owned();
    let mut inside = true;
    for line in text[begin..].split_inclusive('\n') {
        if inside && !line.trim().is_empty() {
            mended += INDENT;
        }
        mended += line;
        inside &= !line.contains(['"', '\'']);
    }
    Some(mended)
}

#[cfg(test)]
mod tests {
    use crate::options::Limits;
    use crate::yaml::{Dialect, Node, documents};
    use serde_json::{Value, json};

    fn read(text: &str) -> Option<Vec<Value>> {
        let nodes = documents(text, Dialect::Object, &Limits::default()).ok()?;
        Some(nodes.into_iter().map(Node::into_value).collect())
    }

    #[test]
    fn what_the_reference_takes_is_read_as_it_reads_it() {
        for (text, value) in [
            ("a: \"b\nc\"\n", json!({"a": "b c"})),
            ("x:\n  a: \"b\n\n  it's\n  c\"\n  d: 'e\n\nf'\n", json!({"x": {"a": "b\nit's c", "d": "e\nf"}})),
            ("- 'a\nb'\n- c\n", json!(["a b", "c"])),
            ("a: [cat, -]\n", json!({"a": ["cat", "-"]})),
            ("a: \"\\\\ it\\'s \\'\"\n", json!({"a": "\\ it's '"})),
            ("a: \"b\"#c\nd: 1\n", json!({"a": "b", "d": 1})),
        ] {
            assert_eq!(read(text), Some(vec![value.clone()]), "{text}");
            let among = format!("z: 1\n---\n{text}---\ny: 2\n");
            assert_eq!(read(&among), Some(vec![json!({"z": 1}), value, json!({"y": 2})]), "{text}");
        }
    }

    #[test]
    fn what_is_simply_wrong_stays_so_and_costs_little() {
        for text in [
            ": \"/opta: 1\n===\n[{\"opom\": \"/a\", \"path\":\"/metaadadat!ta",
            "a: \"b\nc",
            "a: \"\\z\"\n",
            "a: \"b\nc\"\nd: [\n",
            "a: b: c\n",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let many = "- \"b\nc\"\n".repeat(100_000);
        assert_eq!(read(&many), None);
    }
}
