//! What a plain scalar means. Ported in behaviour from the two generations of go-yaml that the
//! reference uses: the older for kustomization files and JSON patches, the newer for objects.

use super::node::NodeKind;
use super::timestamp;
use serde_json::Number;

/// Whose rules decide about plain scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Objects: `yes` is a string, `0o17` is a number.
    Object,
    /// Strategic merge patches: the same, but a key may occur twice.
    Patch,
    /// Kustomization files and JSON patches: `yes`, `y` and `on` are booleans.
    Kustomization,
}

/// A number that JSON cannot hold (`.inf`, `.nan`).
#[derive(Debug, PartialEq, Eq)]
pub struct NotFinite;

/// Resolves a plain scalar.
pub fn resolve(text: &str, dialect: Dialect) -> Result<NodeKind, NotFinite> {
    let Some(&first) = text.as_bytes().first() else {
        return Ok(NodeKind::Null { written: false });
    };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => Ok(word(text, dialect)),
        b'.' => fraction(text),
        b'0'..=b'9' | b'+' | b'-' => number_like(text, dialect),
        _ => Ok(NodeKind::String(text.to_owned())),
    }
}

/// Whether a string, written plain, would be read as something else by a YAML 1.1 reader.
pub fn is_ambiguous(text: &str) -> bool {
    let plain_letter = |first: &u8| first.is_ascii_alphabetic() && !b"nNtTfFyYoO".contains(first);
    if text.as_bytes().first().is_some_and(plain_letter) {
        return false;
    }
    !matches!(resolve(text, Dialect::Kustomization), Ok(NodeKind::String(_))) || timestamp::parse(text).is_some()
}

fn word(text: &str, dialect: Dialect) -> NodeKind {
    match text {
        "~" | "null" | "Null" | "NULL" => NodeKind::Null { written: true },
        "true" | "True" | "TRUE" => NodeKind::Bool(true),
        "false" | "False" | "FALSE" => NodeKind::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::Kustomization => {
            NodeKind::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::Kustomization => {
            NodeKind::Bool(false)
        }
        _ => NodeKind::String(text.to_owned()),
    }
}

fn fraction(text: &str) -> Result<NodeKind, NotFinite> {
    match text {
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" => Err(NotFinite),
        _ if text.as_bytes().get(1).is_some_and(u8::is_ascii_digit) && is_float(text) => float(text),
        _ => Ok(NodeKind::String(text.to_owned())),
    }
}

fn number_like(text: &str, dialect: Dialect) -> Result<NodeKind, NotFinite> {
    if matches!(text, "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF") {
        return Err(NotFinite);
    }
    // The older generation leaves moments as they are written.
    if dialect != Dialect::Kustomization
        && let Some(moment) = timestamp::parse(text)
    {
        return Ok(NodeKind::String(moment));
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Ok(NodeKind::Number(number));
    }
    if is_float(&digits) {
        return float(&digits);
    }
    Ok(NodeKind::String(text.to_owned()))
}

/// Integers as Go's `ParseInt` with base 0 reads them: `0x`, `0o`, `0b` and a leading zero for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = radix(digits)?;
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(size).map(Number::from);
    }
    // Go's ParseUint takes no sign, so a signed number must fit an i64.
    if text.starts_with('+') && i64::try_from(size).is_err() {
        return None;
    }
    Some(Number::from(size))
}

fn radix(digits: &str) -> Option<(u32, &str)> {
    let bytes = digits.as_bytes();
    Some(match (bytes.first()?, bytes.get(1)) {
        (b'0', Some(b'x' | b'X')) => (16, &digits[2..]),
        (b'0', Some(b'o' | b'O')) => (8, &digits[2..]),
        (b'0', Some(b'b' | b'B')) => (2, &digits[2..]),
        (b'0', Some(_)) => (8, &digits[1..]),
        _ => (10, digits),
    })
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.find(['e', 'E']).map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let all_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_mantissa = match whole.is_empty() {
        true => mantissa.starts_with('.') && !part.is_empty(),
        false => true,
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    has_mantissa && all_digits(whole) && all_digits(part) && exponent_ok
}

/// A float, written as an integer when it is whole: that is how it leaves JSON in the reference.
/// One that is too large to be a number is text.
fn float(text: &str) -> Result<NodeKind, NotFinite> {
    let value: f64 = text.parse().map_err(|_| NotFinite)?;
    if value.is_infinite() {
        return Ok(NodeKind::String(text.to_owned()));
    }
    if value.fract() == 0.0
        && let Some(number) = whole(value)
    {
        return Ok(NodeKind::Number(number));
    }
    Number::from_f64(value).map(NodeKind::Number).ok_or(NotFinite)
}

/// Below 2^64 (exact as a float) every whole float has an integer.
fn whole(value: f64) -> Option<Number> {
    let text = (value.abs() < 18_446_744_073_709_551_616.0).then(|| format!("{value:.0}"))?;
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, dialect: Dialect) -> String {
        match resolve(text, dialect) {
            Ok(NodeKind::Null { .. }) => "null".to_owned(),
            Ok(NodeKind::Bool(value)) => value.to_string(),
            Ok(NodeKind::Number(value)) => value.to_string(),
            Ok(NodeKind::String(value)) => format!("{value:?}"),
            Ok(_) => "collection".to_owned(),
            Err(NotFinite) => "error".to_owned(),
        }
    }

    #[test]
    fn numbers_follow_the_reference() {
        for (text, want) in [
            ("0644", "420"),
            ("010", "8"),
            ("0o17", "15"),
            ("0b11", "3"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("1e3", "1000"),
            ("1.0", "1"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("-0x10", "-16"),
            ("08", "8"),
            ("1.2.3", "\"1.2.3\""),
            ("1e", "\"1e\""),
            ("-", "\"-\""),
            ("..", "\"..\""),
            ("18446744073709551615", "18446744073709551615"),
            (".inf", "error"),
            ("-.INF", "error"),
            ("12e03", "12000"),
            ("2001-01-01", "\"2001-01-01T00:00:00Z\""),
        ] {
            assert_eq!(json(text, Dialect::Object), want, "{text}");
        }
    }

    #[test]
    fn only_kustomizations_know_yes_and_no() {
        for text in ["y", "yes", "On", "NO", "off"] {
            assert_eq!(json(text, Dialect::Object), format!("{text:?}"));
            assert!(matches!(resolve(text, Dialect::Kustomization), Ok(NodeKind::Bool(_))), "{text}");
        }
        assert_eq!(json("2001-01-01", Dialect::Kustomization), "\"2001-01-01\"");
        assert_eq!(json("~", Dialect::Object), "null");
        assert_eq!(json("nulls", Dialect::Object), "\"nulls\"");
    }
}
