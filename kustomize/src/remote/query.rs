//! What stands behind the `?` of a repository's address. A query that cannot be read says nothing, as in the reference.

use std::time::Duration;

/// How long a repository may take to be fetched, unless its address says otherwise; the reference's.
const TIMEOUT: Duration = Duration::from_secs(27);

/// The settings that a query holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub reference: Option<String>,
    pub timeout: Duration,
    pub submodules: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self { reference: None, timeout: TIMEOUT, submodules: true }
    }
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let Some(pairs) = pairs(text) else { return Self::default() };
        let get = |name: &str| {
            let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        Self {
            reference: get("ref").or_else(|| get("version")).map(str::to_owned),
            timeout: get("timeout").and_then(seconds_or_duration).unwrap_or(TIMEOUT),
            submodules: get("submodules").and_then(boolean).unwrap_or(true),
        }
    }
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (!pair.contains(';')).then_some(())?;
            Some((decoded(key)?, decoded(value)?))
        })
        .collect()
}

/// Percent-decoding, with `+` for a space.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
                rest = rest.get(2..)?;
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whole seconds, or numbers with units such as `1m30s`; nothing that is not more than zero.
fn seconds_or_duration(text: &str) -> Option<Duration> {
    let duration = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => with_units(text)?,
    };
    (!duration.is_zero()).then_some(duration)
}

fn with_units(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit = match &after[..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = &after[unit_end..];
    }
    Some(total)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> (Option<String>, f64, bool) {
        let query = Query::parse(text);
        (query.reference, query.timeout.as_secs_f64(), query.submodules)
    }

    #[test]
    fn settings_are_read_as_the_reference_reads_them() {
        let reference = |text: &str| Some(text.to_owned());
        for (text, want) in [
            ("", (None, 27.0, true)),
            ("ref=v1", (reference("v1"), 27.0, true)),
            ("version=v1", (reference("v1"), 27.0, true)),
            ("version=v1&ref=v2", (reference("v2"), 27.0, true)),
            ("version=v1&ref=", (reference("v1"), 27.0, true)),
            ("ref=a%2Fb+c", (reference("a/b c"), 27.0, true)),
            ("timeout=61", (None, 61.0, true)),
            ("timeout=1m1.5s", (None, 61.5, true)),
            ("timeout=250ms", (None, 0.25, true)),
            ("timeout=0", (None, 27.0, true)),
            ("timeout=-5", (None, 27.0, true)),
            ("timeout=soon", (None, 27.0, true)),
            ("timeout=5fortnights", (None, 27.0, true)),
            ("submodules=0&ref=x", (reference("x"), 27.0, false)),
            ("submodules=False", (None, 27.0, false)),
            ("submodules=no", (None, 27.0, true)),
            // What cannot be read says nothing at all.
            ("ref=v1;submodules=0", (None, 27.0, true)),
            ("ref=v%zz&submodules=0", (None, 27.0, true)),
            ("ref=%+1", (None, 27.0, true)),
            ("ref=%", (None, 27.0, true)),
        ] {
            assert_eq!(query(text), want, "{text}");
        }
    }
}
