//! Which style go-yaml gives to a string: plain, quoted, or a literal block.

use super::scalar::is_ambiguous;

/// How a string is written.
#[derive(Clone, Copy)]
pub enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// What libyaml's `analyze_scalar` finds out about a text, outside of flow collections.
pub struct Analysis {
    pub multiline: bool,
    plain_allowed: bool,
    single_allowed: bool,
    /// Whether the text can stand in a block.
    pub block_allowed: bool,
}

impl Analysis {
    pub fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { multiline: false, plain_allowed: true, single_allowed: true, block_allowed: false };
        }
        if is_simple(text) {
            return Self { multiline: false, plain_allowed: true, single_allowed: true, block_allowed: true };
        }
        let (mut indicators, mut line_breaks, mut special) =
            (text.starts_with("---") || text.starts_with("..."), false, false);
        let (mut space_break, mut break_space) = (false, false);
        let (mut previous_space, mut previous_break, mut after_blank) = (false, false, true);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let before_blank = chars.peek().is_none_or(|(_, next)| matches!(next, ' ' | '\t'));
            indicators |= match c {
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => at == 0,
                '?' | '-' => at == 0 && before_blank,
                ':' => before_blank,
                '#' => after_blank,
                _ => false,
            };
            special |= !is_printable(c);
            let (space, line_break) = (c == ' ', is_break(c));
            break_space |= space && previous_break;
            space_break |= line_break && previous_space;
            line_breaks |= line_break;
            (previous_space, previous_break) = (space, line_break);
            after_blank = space || c == '\t' || line_break;
        }
        let ends_in = |test: fn(char) -> bool| text.ends_with(test);
        let outer_space = text.starts_with(' ') || text.starts_with(is_break) || previous_space || previous_break;
        Self {
            multiline: line_breaks,
            plain_allowed: !(outer_space || break_space || space_break || special || line_breaks || indicators),
            single_allowed: !(break_space || space_break || special),
            block_allowed: !(ends_in(|c| c == ' ') || space_break || special),
        }
    }

    /// Whether the text can stand without quotes.
    pub fn plain_allowed(&self) -> bool {
        self.plain_allowed
    }

    /// Whether the text can stand in single quotes.
    pub fn single_allowed(&self) -> bool {
        self.single_allowed
    }

    /// The style for a text that is a value, or a key on one line.
    pub fn style(&self, text: &str, simple_key: bool) -> Style {
        let wanted = match text.contains('\n') {
            true => Style::Literal,
            false if is_ambiguous_for_output(text) => Style::Double,
            false => Style::Plain,
        };
        match wanted {
            _ if simple_key && self.multiline => Style::Double,
            Style::Literal if self.block_allowed && !simple_key => Style::Literal,
            Style::Plain if self.plain_allowed && !(simple_key && text.is_empty()) => Style::Plain,
            Style::Plain if self.single_allowed => Style::Single,
            _ => Style::Double,
        }
    }
}

/// Whether nothing in a text can mean anything to YAML, as in nearly all keys and most values.
fn is_simple(text: &str) -> bool {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    !text.starts_with(['-', '.']) && text.bytes().all(simple)
}

/// Whether a text is written without quotes, and on one line.
pub fn stands_plain(text: &str) -> bool {
    matches!(Analysis::of(text).style(text, false), Style::Plain)
}

/// Strings that a YAML 1.1 reader takes for something else, and base-60 numbers.
fn is_ambiguous_for_output(text: &str) -> bool {
    is_ambiguous(text) || is_base_60(text)
}

/// `[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    digits(first)
        && digits(fraction)
        && !rest.is_empty()
        && rest.iter().all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

pub fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
