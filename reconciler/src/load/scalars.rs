//! Decoders for the values that fields hold: text, names, numbers, durations, globs, lists, maps.

use super::{
    fields::Reader,
    globs,
    node::{Kind, Node},
};
use jiff::SignedDuration;
use lapdev_api::{kinds::Port, name::NameError, words::nearest};
use lapdev_kustomize::TreePath;
use std::{collections::BTreeMap, str::FromStr};

/// A piece of the file in a message: one line, cut, control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).collect();
    if text.chars().count() > MOST {
        short.push('…');
    }
    format!("`{}`", short.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

/// A string. A number or boolean is refused rather than guessed: `1.10` would come out as `1.1`.
pub(super) fn text(reader: &mut Reader, node: &Node) -> Option<String> {
    match &node.kind {
        Kind::String(text) => Some(text.clone()),
        Kind::Number(_) | Kind::Bool(_) => reader.wrong_type(node, "a string; put it in quotes"),
        _ => reader.wrong_type(node, "a string"),
    }
}

/// A string with something in it.
pub(super) fn filled(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = text(reader, node)?;
    match text.trim().is_empty() {
        true => reader.error(node.at, "the string is empty", "expected text"),
        false => Some(text),
    }
}

/// A name of one of the newtypes.
pub(super) fn name<T: FromStr<Err = NameError>>(reader: &mut Reader, node: &Node) -> Option<T> {
    let text = text(reader, node)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(NameError { what, expected, .. }) => {
            let message = format!("{} is not a legal {what}", quoted(&text));
            reader.error(node.at, message, format!("expected {expected}"))
        }
    }
}

/// The name of a Kubernetes object: a DNS subdomain.
pub(super) fn object_name(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = text(reader, node)?;
    if is_subdomain(&text) {
        return Some(text);
    }
    let message = format!("{} is not a legal object name", quoted(&text));
    reader.error(
        node.at,
        message,
        "expected 1 to 253 of a-z, 0-9, '-' and '.', starting and ending with a letter or digit",
    )
}

/// Whether a text is an RFC 1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(lapdev_api::name::is_dns_label)
}

/// `true` or `false`.
pub(super) fn boolean(reader: &mut Reader, node: &Node) -> Option<bool> {
    match node.kind {
        Kind::Bool(value) => Some(value),
        _ => reader.wrong_type(node, "true or false"),
    }
}

/// A whole number from 0 on.
pub(super) fn count(reader: &mut Reader, node: &Node) -> Option<u32> {
    let Kind::Number(number) = &node.kind else {
        return reader.wrong_type(node, "a whole number");
    };
    match number.as_u64().and_then(|n| u32::try_from(n).ok()) {
        Some(count) => Some(count),
        None => reader.error(
            node.at,
            "the number is out of range",
            format!("expected a whole number from 0 to {}", u32::MAX),
        ),
    }
}

/// A port: its number, or the name that the Service gives it.
pub(super) fn port(reader: &mut Reader, node: &Node) -> Option<Port> {
    const EXPECTED: &str = "expected a number from 1 to 65535, or a port's name";
    match &node.kind {
        Kind::Number(number) => match number.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0) {
            Some(number) => Some(Port::Number(number)),
            None => reader.error(node.at, "not a legal port number", EXPECTED),
        },
        Kind::String(name) if lapdev_api::name::is_dns_label(name) => Some(Port::Name(name.clone())),
        Kind::String(name) => reader.error(node.at, format!("{} is not a legal port name", quoted(name)), EXPECTED),
        _ => reader.wrong_type(node, "a port's number or name"),
    }
}

/// One of several words.
pub(super) fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&mut Reader, &Node) -> Option<T> {
    move |reader, node| {
        let list = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let Some(text) = node.as_str() else {
            return reader.wrong_type(node, &list().join(" or "));
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let expected = match nearest(text, list()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("expected {}", list().join(" or ")),
        };
        reader.error(node.at, format!("{} is not a value of this field", quoted(text)), expected)
    }
}

/// A length of time: `72h`, `1h30m`, `3d`.
pub(super) fn duration(reader: &mut Reader, node: &Node) -> Option<SignedDuration> {
    const EXPECTED: &str = "expected a duration such as 72h, 30m, 1h30m or 3d";
    let Some(text) = node.as_str() else {
        return reader.wrong_type(node, "a duration such as 72h, 30m, 1h30m or 3d");
    };
    match parse_duration(text) {
        Some(duration) => Some(duration),
        None => reader.error(node.at, format!("{} is not a duration", quoted(text)), EXPECTED),
    }
}

/// Numbers with units, largest first or not; no sign, no fraction, no spaces.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: i64 = rest[..digits].parse().ok()?;
        let mut after = rest[digits..].chars();
        let unit = match after.next()? {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = after.as_str();
    }
    // A hundred years: later arithmetic with timestamps stays inside of the calendar.
    (!text.is_empty() && seconds <= 100 * 366 * 86_400).then(|| SignedDuration::from_secs(seconds))
}

/// A glob over paths or branch names.
pub(super) fn glob(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = filled(reader, node)?;
    if text.starts_with('/') || text.starts_with("./") {
        let message = format!("{} can never match", quoted(&text));
        return reader.error(
            node.at,
            message,
            "expected a glob relative to the repository's root, such as services/web/**",
        );
    }
    match globs::compile(&text) {
        Ok(_) => Some(text),
        Err(error) => {
            let message = format!("{} is not a glob: {}", quoted(&text), error.kind());
            reader.error(node.at, message, "expected a glob such as services/web/** or feature/*")
        }
    }
}

/// A folder of a repository, from its root.
pub(super) fn folder(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = filled(reader, node)?;
    match TreePath::parse(&text) {
        Some(_) if !text.starts_with('/') => Some(text),
        _ => {
            let message = format!("{} leads out of the repository", quoted(&text));
            reader.error(node.at, message, "expected a folder relative to the repository's root, such as apps/shop")
        }
    }
}

/// A list; every item is tried.
pub(super) fn list<T>(
    decode: impl Fn(&mut Reader, &Node) -> Option<T>,
) -> impl FnOnce(&mut Reader, &Node) -> Option<Vec<T>> {
    move |reader, node| {
        let Kind::Sequence(items) = &node.kind else {
            return reader.wrong_type(node, "a list");
        };
        let decoded: Vec<Option<T>> =
            items.iter().enumerate().map(|(i, item)| reader.part(&format!("[{i}]"), item, &decode)).collect();
        decoded.into_iter().collect()
    }
}

/// A mapping with keys of the team's choice; every entry is tried.
pub(super) fn map<T>(
    decode: impl Fn(&mut Reader, &Node) -> Option<T>,
) -> impl FnOnce(&mut Reader, &Node) -> Option<BTreeMap<String, T>> {
    move |reader, node| {
        let Kind::Mapping(entries) = &node.kind else {
            return reader.wrong_type(node, "a mapping");
        };
        let decoded: Vec<Option<(String, T)>> = entries
            .iter()
            .map(|entry| Some((entry.key.clone(), reader.part(&entry.key, &entry.value, &decode)?)))
            .collect();
        decoded.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let hours = |h| Some(SignedDuration::from_hours(h));
        assert_eq!(parse_duration("72h"), hours(72));
        assert_eq!(parse_duration("3d"), hours(72));
        assert_eq!(parse_duration("1h30m"), Some(SignedDuration::from_mins(90)));
        assert_eq!(parse_duration("45s"), Some(SignedDuration::from_secs(45)));
        for bad in
            ["", "72", "h", "-1h", "1.5h", "1h 30m", "1w", "99999999999999999999h", "9223372036854775807h", "1hé"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_message_repeats_is_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), 63);
    }
}
