//! Folded texts (`>`) as go-yaml writes them, which is not always what it has read: it decides by
//! the start of the text, rather than by the next line, whether a line break must be doubled.

use super::style::{Analysis, is_break};

/// The text as a folded document; `None` where go-yaml would quote it, or where nothing can change.
pub fn write(text: &str) -> Option<String> {
    if !text.trim_end_matches(is_break).contains(is_break) && !text.ends_with("\n\n") {
        return None;
    }
    if !Analysis::of(text).block_allowed {
        return None;
    }
    Some(block(text, 2))
}

/// The text as a folded block whose lines begin after so many spaces.
pub fn block(text: &str, indent: usize) -> String {
    let mut written = format!(">{}{}\n", if text.starts_with([' ', '\n']) { "2" } else { "" }, chomping(text));
    let start = text.trim_start_matches(is_break);
    let doubles = !start.is_empty() && !start.starts_with([' ', '\t']);
    let (mut breaks, mut leading_space) = (true, true);
    for c in text.chars() {
        if is_break(c) {
            if !breaks && !leading_space && c == '\n' && doubles {
                written.push('\n');
            }
            breaks = true;
        } else if breaks {
            written.extend(std::iter::repeat_n(' ', indent));
            leading_space = matches!(c, ' ' | '\t');
            breaks = false;
        }
        written.push(c);
    }
    if !breaks {
        written.push('\n');
    }
    written
}

/// What becomes of the line breaks at the end.
fn chomping(text: &str) -> &'static str {
    let mut ends = text.chars().rev();
    match (ends.next().is_some_and(is_break), ends.next()) {
        (false, _) => "-",
        (true, None) => "+",
        (true, Some(before)) if is_break(before) => "+",
        (true, Some(_)) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn a_line_break_is_doubled_by_the_start_of_the_text() {
        assert_eq!(write("a\n  b\nc").as_deref(), Some(">-\n  a\n\n    b\n  c\n"));
        assert_eq!(write("a\nb\n").as_deref(), Some(">\n  a\n\n  b\n\n"));
        assert_eq!(write(" a\nb").as_deref(), Some(">2-\n   a\n  b\n"));
    }

    #[test]
    fn one_line_stays_as_it_is() {
        assert_eq!(write("a b\n"), None);
    }
}
