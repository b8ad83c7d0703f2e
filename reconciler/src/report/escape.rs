//! Text that others wrote (branch names, messages of pods and agents), made harmless inside our markdown.

/// The longest text that is taken over, in characters.
const LONGEST: usize = 300;

/// One line without markup, mentions, references or HTML.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            safe.push('…');
            break;
        }
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // A word joiner keeps them readable, and keeps the forge from seeing a mention or a reference.
            '@' | '#' => safe.extend([c, '\u{2060}']),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '!' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_write_becomes_markup_or_a_mention() {
        let hostile = "a|b\n<img src=x> @everyone [x](http://evil) `code` #12";
        let safe = plain(hostile);
        assert_eq!(safe, "a\\|b &lt;img src=x&gt; @\u{2060}everyone \\[x\\](http://evil) \\`code\\` #\u{2060}12");
        assert_eq!(plain(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
