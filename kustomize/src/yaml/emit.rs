//! Values to YAML text, byte for byte as go-yaml's older generation writes them: the style of a
//! scalar, folding at 80 columns, sequences not indented, keys in natural order.

use super::order;
use super::style::{Analysis, Style, is_break, is_printable};
use serde_json::{Number, Value};

/// The column after which go-yaml folds at the next space.
const WIDTH: usize = 80;

/// Writes one document, with a final newline.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut text = String::with_capacity(1024);
    emit_into(value, &mut text);
    text
}

/// Writes one document behind others.
pub fn emit_into(value: &Value, text: &mut String) {
    Emitter { text, column: 0 }.root(value);
}

/// How a key was written.
enum Key {
    /// `key:`
    Simple,
    /// `? key`, and `: ` on a line of its own.
    Explicit,
}

struct Emitter<'t> {
    text: &'t mut String,
    /// Characters since the last line break.
    column: usize,
}

impl Emitter<'_> {
    fn root(&mut self, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(value, 0, false),
            Value::Array(items) if !items.is_empty() => self.sequence(items, 0, false),
            _ => {
                self.leaf(value, 0);
                self.newline();
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.column += if text.is_ascii() { text.len() } else { text.chars().count() };
        self.text.push_str(text);
    }

    fn newline(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// `inline`: the first key stands on the line that is already begun.
    fn mapping(&mut self, value: &Value, indent: usize, inline: bool) {
        let Value::Object(map) = value else { return };
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        order::sort(&mut entries);
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 || !inline {
                self.indent(indent);
            }
            match self.key(key, indent) {
                Key::Simple => self.value(value, indent),
                Key::Explicit => self.item(value, indent),
            }
        }
    }

    fn key(&mut self, key: &str, indent: usize) -> Key {
        let analysis = Analysis::of(key);
        // Longer keys get the explicit form, as libyaml has it.
        if key.len() > 128 || analysis.multiline {
            self.push("? ");
            self.analysed(key, &analysis, indent + 2, false);
            self.end_line();
            self.indent(indent);
            self.push(": ");
            return Key::Explicit;
        }
        self.analysed(key, &analysis, indent + 2, true);
        self.push(":");
        Key::Simple
    }

    /// A value after `key:`.
    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.newline();
                self.mapping(value, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.newline();
                self.sequence(items, indent, false);
            }
            _ => {
                self.push(" ");
                self.leaf(value, indent + 2);
                self.end_line();
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, inline: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !inline {
                self.indent(indent);
            }
            self.push("- ");
            self.item(item, indent);
        }
    }

    /// A value on the line that `- ` or `: ` has begun.
    fn item(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(value, indent + 2, true),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2, true),
            _ => {
                self.leaf(value, indent + 2);
                self.end_line();
            }
        }
    }

    /// A literal block has ended its last line already.
    fn end_line(&mut self) {
        if !self.text.ends_with('\n') {
            self.newline();
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(true) => self.push("true"),
            Value::Bool(false) => self.push("false"),
            Value::Number(number) => self.push(&number_text(number)),
            Value::String(text) => self.analysed(text, &Analysis::of(text), indent, false),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
        }
    }

    fn analysed(&mut self, text: &str, analysis: &Analysis, indent: usize, simple_key: bool) {
        match analysis.style(text, simple_key) {
            Style::Plain => self.plain(text, indent, !simple_key),
            Style::Single => self.single_quoted(text, indent, !simple_key),
            Style::Double => self.double_quoted(text, indent, !simple_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    fn plain(&mut self, text: &str, indent: usize, fold: bool) {
        if self.column + text.len() <= WIDTH {
            return self.push(text);
        }
        let mut spaces = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' && fold && !spaces && self.column > WIDTH && chars.peek() != Some(&' ') {
                self.newline();
                self.indent(indent);
            } else {
                self.put(c);
            }
            spaces = c == ' ';
        }
    }

    fn put(&mut self, c: char) {
        self.text.push(c);
        self.column += 1;
    }

    fn single_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put('\'');
        let (mut spaces, mut breaks) = (false, false);
        let last = text.len().saturating_sub(1);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let next_is_space = chars.peek().is_some_and(|(_, next)| *next == ' ');
                if fold && !spaces && self.column > WIDTH && at > 0 && at < last && !next_is_space {
                    self.newline();
                    self.indent(indent);
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else if is_break(c) {
                if !breaks && c == '\n' {
                    self.newline();
                }
                self.write_break(c);
                breaks = true;
            } else {
                if breaks {
                    self.indent(indent);
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                (spaces, breaks) = (false, false);
            }
        }
        self.put('\'');
    }

    fn write_break(&mut self, c: char) {
        self.text.push(c);
        self.column = 0;
    }

    fn double_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put('"');
        // go-yaml looks for the byte order mark at the start of the text, whatever it is about to write.
        let escape_all = text.starts_with('\u{feff}');
        let mut spaces = false;
        let last = text.len().saturating_sub(1);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' && !escape_all {
                if fold && !spaces && self.column > WIDTH && at > 0 && at < last {
                    self.newline();
                    self.indent(indent);
                    if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                spaces = true;
                continue;
            }
            spaces = false;
            if escape_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                let escape = escape(c);
                self.push(&escape);
            } else {
                self.put(c);
            }
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ']) || text.starts_with(is_break) {
            self.push("2");
        }
        let mut ends = text.chars().rev();
        match (ends.next().is_some_and(is_break), ends.next()) {
            (false, _) => self.push("-"),
            (true, None) => self.push("+"),
            (true, Some(before)) if is_break(before) => self.push("+"),
            (true, Some(_)) => {}
        }
        self.newline();
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.write_break(c);
                breaks = true;
            } else {
                if breaks {
                    self.indent(indent);
                }
                self.put(c);
                breaks = false;
            }
        }
        if breaks {
            // The text's own last break ends the line.
            return;
        }
        self.newline();
    }
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => return long_escape(u32::from(c)),
    };
    format!("\\{short}")
}

fn long_escape(code: u32) -> String {
    match code {
        0..=0xff => format!("\\x{code:02X}"),
        0x100..=0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float_text(value),
        _ => number.to_string(),
    }
}

/// Go's `%g` with the shortest digits that read back the same.
fn float_text(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &str) -> String {
        emit(&json!({ "k": value }))
    }

    #[test]
    fn sequences_stand_at_the_column_of_their_key() {
        let value = json!({"b": [{"x": 1, "a": []}, [1, {}]], "a": {"c": null, "d": {}}});
        assert_eq!(emit(&value), "a:\n  c: null\n  d: {}\nb:\n- a: []\n  x: 1\n- - 1\n  - {}\n");
    }

    #[test]
    fn strings_that_read_as_something_else_are_double_quoted() {
        for quoted in ["yes", "n", "true", "~", "null", "", "1", "0x1F", "1e3", "1:20", "2001-01-01", ".inf", "0644"] {
            assert_eq!(text(quoted), format!("k: \"{quoted}\"\n"));
        }
        for plain in ["nope", "a b", "1.2.3", "a:b", "a#b", "-x", "=", "<<", "--", "é", "1:99"] {
            assert_eq!(text(plain), format!("k: {plain}\n"));
        }
        for single in ["*", "&a", "- x", "a: b", "a #b", "@x", " x", "x ", "{a}", "[a]", "a:", "---"] {
            assert_eq!(text(single), format!("k: '{single}'\n"));
        }
    }

    #[test]
    fn special_characters_force_escapes() {
        assert_eq!(text("a\tb"), "k: \"a\\tb\"\n");
        assert_eq!(text("\u{1F600}"), "k: \"\\U0001F600\"\n");
        assert_eq!(text("a \nb"), "k: \"a \\nb\"\n");
        assert_eq!(text("\u{feff}a b"), "k: \"\\uFEFF\\x61\\x20\\x62\"\n");
    }

    #[test]
    fn several_lines_become_a_literal_block_with_its_hints() {
        assert_eq!(text("a\nb"), "k: |-\n  a\n  b\n");
        assert_eq!(text("a\nb\n"), "k: |\n  a\n  b\n");
        assert_eq!(text("a\n\n"), "k: |+\n  a\n\n");
        assert_eq!(text(" a\nb\n"), "k: |2\n   a\n  b\n");
    }

    #[test]
    fn a_key_of_several_lines_ends_where_its_block_ends() {
        assert_eq!(emit(&json!({"a\nb": 1})), "? |-\n  a\n  b\n: 1\n");
        assert_eq!(emit(&json!({"a\n": 1})), "? |\n  a\n: 1\n");
        assert_eq!(emit(&json!({"a\n\n": [1]})), "? |+\n  a\n\n: - 1\n");
        assert_eq!(emit(&json!({"a\nb": {"c": [{"d": 1, "e": 2}]}})), "? |-\n  a\n  b\n: c:\n  - d: 1\n    e: 2\n");
    }

    #[test]
    fn long_plain_text_folds_after_the_eightieth_column() {
        let words = vec!["word"; 30].join(" ");
        let out = text(&words);
        assert_eq!(out.lines().next().map(str::len), Some(82));
        assert!(out.lines().nth(1).is_some_and(|line| line.starts_with("  word")));
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, want) in [
            (1.5, "1.5"),
            (1.5e8, "1.5e+08"),
            (1e-6, "1e-06"),
            (0.0001, "0.0001"),
            (123_456.5, "123456.5"),
            (1e21, "1e+21"),
        ] {
            assert_eq!(float_text(value), want);
        }
    }
}
