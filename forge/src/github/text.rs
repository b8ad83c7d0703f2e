//! GitHub's limits on texts, and how ours are made to fit. Pure.

/// The longest comment. Whether GitHub counts code points or UTF-16 units is not documented; the larger of the two
/// counts stays within it.
pub(super) const LONGEST_COMMENT: usize = 65_536;
/// The longest description of a commit status.
pub(super) const LONGEST_DESCRIPTION: usize = 140;

const CUT: &str = "\n\n… cut here: longer than GitHub permits.\n";

/// `body` within GitHub's limit, with `marker` in it whatever was cut.
pub(super) fn comment(body: &str, marker: &str) -> String {
    if body.contains(marker) && length(body) <= LONGEST_COMMENT {
        return body.to_owned();
    }
    let end = format!("\n{marker}");
    if length(body) + length(&end) <= LONGEST_COMMENT {
        return format!("{body}{end}");
    }
    let head = prefix(body, LONGEST_COMMENT - length(CUT) - length(&end).min(LONGEST_COMMENT / 2));
    let end = if head.contains(marker) { "" } else { &end };
    format!("{head}{CUT}{end}")
}

/// `text` within the limit of a commit status, ending in `…` where it was cut.
pub(super) fn description(text: &str) -> String {
    if length(text) <= LONGEST_DESCRIPTION {
        return text.to_owned();
    }
    format!("{}…", prefix(text, LONGEST_DESCRIPTION - 1))
}

/// Whether GitHub keeps two texts as the same: it may change line ends and drop white space at the end.
pub(super) fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    plain(one) == plain(other)
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn prefix(text: &str, units: usize) -> &str {
    let mut room = units;
    let end = text.char_indices().find(|(_, c)| {
        let fits = c.len_utf16() <= room;
        room = room.saturating_sub(c.len_utf16());
        !fits
    });
    end.map_or(text, |(index, _)| &text[..index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "<!-- lapdev -->";

    #[test]
    fn a_short_comment_is_left_alone_and_a_long_one_keeps_its_marker() {
        assert_eq!(comment("<!-- lapdev -->\nhello", MARKER), "<!-- lapdev -->\nhello");
        assert_eq!(comment("hello", MARKER), "hello\n<!-- lapdev -->");
        for unit in ["x", "é", "🚀"] {
            for body in [format!("{MARKER}{}", unit.repeat(70_000)), format!("{}{MARKER}", unit.repeat(70_000))] {
                let fit = comment(&body, MARKER);
                assert!(length(&fit) <= LONGEST_COMMENT && length(&fit) > LONGEST_COMMENT - 100, "{}", length(&fit));
                assert_eq!(fit.matches(MARKER).count(), 1);
            }
        }
    }

    #[test]
    fn a_description_is_cut_to_140_characters() {
        assert_eq!(description("fine"), "fine");
        let cut = description(&"ü".repeat(200));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (140, true));
    }

    #[test]
    fn line_ends_do_not_make_a_difference() {
        assert!(same("a\r\nb\n", "a\nb"));
        assert!(!same("a", "b"));
    }
}
