//! Regular expressions in the syntax that users know from the reference, which is RE2's: time grows with expression and
//! text and no faster, and `\w`, `\d` and `(?i)` know ASCII only. Classes of Unicode (`\p{L}`) are refused.

use regex_lite::{Error, Regex, RegexBuilder};

/// What one may take when it is compiled: twenty characters can ask for megabytes, and each byte of a text is held
/// against all of it. Four thousand letters have room.
const MAX_BYTES: usize = 1 << 18;

/// An expression that may match anywhere in a text.
pub fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&as_re2_reads_it(pattern)).size_limit(MAX_BYTES).build()
}

/// The same expression with escapes before what only the crate takes for syntax: a `{` that begins no repetition, as
/// `${NAME}` and templates have it, and inside of a class `[`, `&&`, `--` and `~~`.
fn as_re2_reads_it(pattern: &str) -> String {
    let (mut plain, mut in_class, mut rest) = (String::with_capacity(pattern.len()), false, pattern);
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escape(rest),
            '[' if in_class && rest.starts_with("[:") => find(rest, b":]").map_or(1, |end| end + 2),
            // A bracket that begins a class's content stands for itself.
            '[' if !in_class => ["[^]", "[]"].iter().find(|begin| rest.starts_with(**begin)).map_or(1, |b| b.len()),
            '{' if !in_class => repetition(rest).unwrap_or(1),
            _ => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(taken);
        let is_operator = in_class && ['&', '-', '~'].contains(&c) && after.starts_with(c);
        if (piece == "{" && !in_class) || (piece == "[" && in_class) || is_operator {
            plain.push('\\');
        }
        plain += piece;
        in_class = match c {
            '[' => true,
            ']' => false,
            _ => in_class,
        };
        rest = after;
    }
    plain
}

/// The length of an escape, its braces included.
fn escape(text: &str) -> usize {
    let mut chars = text.char_indices().skip(2);
    match (text.chars().nth(1), chars.next()) {
        (Some('x' | 'u' | 'U' | 'p' | 'P'), Some((_, '{'))) => find(text, b"}").map_or(2, |end| end + 1),
        (_, Some((end, _))) => end,
        (_, None) => text.len(),
    }
}

/// The length of `{n}`, `{n,}` or `{n,m}`.
fn repetition(text: &str) -> Option<usize> {
    let end = find(text, b"}")?;
    let (least, most) = text[1..end].split_once(',').unwrap_or((&text[1..end], ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(end + 1)
}

/// Where an end is, near: what it ends is short, and a long expression may have many beginnings.
fn find(text: &str, end: &[u8]) -> Option<usize> {
    text.as_bytes().windows(end.len()).take(32).position(|bytes| bytes == end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_re2s() {
        let holds = |pattern: &str, text: &str| compile(pattern).expect(pattern).is_match(text);
        for (pattern, text) in [
            ("^web-(blue|green)$", "web-blue"),
            ("^[[:alpha:]_-]+\\.io/\\w{2,3}?$", "example.io/v1"),
            ("(?i)^WEB$", "web"),
            ("^(?P<name>a)(?:b)\\x41\\.\\z", "abA."),
            ("(?s)^a.b$", "a\nb"),
            ("(?m)^b$", "a\nb"),
            ("^.$", "é"),
            ("^a{b}c{,2}d{2,}$", "a{b}c{,2}ddd"),
            ("^{{ .Name }}\\x{41}\\{$", "{{ xName }}A{"),
            ("^[a[b]{2}[]{][^]a][a&&b][[:digit:]-]$", "[b]x&1"),
        ] {
            assert!(holds(pattern, text), "{pattern}");
        }
        for (pattern, text) in [("a.b", "a\nb"), ("^\\w$", "é"), ("^\\d$", "٣"), ("^b$", "a\nb"), ("${A}", "${A}")] {
            assert!(!holds(pattern, text), "{pattern}");
        }
        for pattern in ["(", "a{2,1}", "\\p{L}", "(?=a)", "(a)\\1", "[b-a]"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_few_characters_cannot_ask_for_much() {
        assert!(compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?").is_ok());
        assert!(compile("(\\w{50}){200}").is_err());
        for many in ["{", "[[:", "\\x{"] {
            assert!(compile(&many.repeat(1_000_000)).is_err(), "{many}");
        }
    }
}
