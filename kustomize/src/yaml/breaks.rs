//! Line breaks that YAML 1.1 knows and 1.2 does not: U+0085, U+2028 and U+2029. go-yaml folds quoted texts at them, and
//! writes them so that it must.

use super::style::is_break;

/// What go-yaml reads of a quoted scalar, given with its quotes; `None` where it has no such break, and for escapes
/// beside one.
pub fn fold(quoted: &str) -> Option<String> {
    let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let is_odd = |c| is_break(c) && !matches!(c, '\r' | '\n');
    if inner.is_ascii() || !inner.contains(is_odd) || (quote == '"' && inner.contains('\\')) {
        return None;
    }
    let unescaped = if quote == '\'' { inner.replace("''", "'") } else { inner.to_owned() }.replace("\r\n", "\n");
    let mut folded = String::with_capacity(unescaped.len());
    let mut rest = unescaped.as_str();
    while let Some(at) = rest.find(is_space) {
        let (text, behind) = rest.split_at(at);
        let spaces = behind.find(|c| !is_space(c)).unwrap_or(behind.len());
        folded.push_str(text);
        folded.push_str(&joined(&behind[..spaces]));
        rest = &behind[spaces..];
    }
    folded.push_str(rest);
    Some(folded)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t') || is_break(c)
}

/// What is left of blanks and breaks between two words: the blanks if there is no break, else the breaks, of which a
/// single one is a space.
fn joined(spaces: &str) -> String {
    let mut breaks = spaces.chars().filter(|c| is_break(*c)).map(|c| match c {
        '\r' | '\u{85}' => '\n',
        other => other,
    });
    match breaks.next() {
        None => spaces.to_owned(),
        Some('\n') => Some(breaks.collect()).filter(|more: &String| !more.is_empty()).unwrap_or_else(|| " ".to_owned()),
        Some(kept) => std::iter::once(kept).chain(breaks).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_break_go_and_a_single_plain_one_is_a_space() {
        for (quoted, text) in [
            ("'a\u{2028}  b'", "a\u{2028}b"),
            ("'\u{2028}  ''b'' c'", "\u{2028}'b' c"),
            ("\"a \u{2029} b\"", "a\u{2029}b"),
            ("\"a\u{85}- b\"", "a - b"),
            ("\"a\u{85}\u{85}b\"", "a\nb"),
            ("'a\u{2028}\n\n b'", "a\u{2028}\n\nb"),
            ("'a\r\n\u{2028}b'", "a\u{2028}b"),
        ] {
            assert_eq!(fold(quoted).as_deref(), Some(text), "{quoted:?}");
        }
    }

    #[test]
    fn other_texts_are_left_to_the_parser() {
        for quoted in ["'a\n b'", "\"a\"", "plain\u{2028}text", "\"a\\L\u{2028}b\"", "'", ""] {
            assert_eq!(fold(quoted), None, "{quoted:?}");
        }
    }
}
