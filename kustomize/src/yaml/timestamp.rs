//! Plain scalars that the reference takes for a moment in time, and how it writes them.

/// The RFC 3339 form that the reference gives to a plain timestamp; `None` if it is none.
pub fn parse(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year: u32 = text[..4].parse().ok()?;
    let (month, rest) = number(&text[5..])?;
    let (day, rest) = number(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    match rest.as_bytes().first() {
        None => Some(format!("{date}T00:00:00Z")),
        Some(b'T' | b't') => {
            let (time, zone) = clock(&rest[1..])?;
            Some(format!("{date}T{time}{}", offset(zone)?))
        }
        Some(b' ') => {
            let (time, zone) = clock(&rest[1..])?;
            zone.is_empty().then(|| format!("{date}T{time}Z"))
        }
        Some(_) => None,
    }
}

/// One or two digits.
fn number(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// `15:4:5.999` as `15:04:05.999`, and what follows it.
fn clock(text: &str) -> Option<(String, &str)> {
    let (hour, rest) = number(text)?;
    let (minute, rest) = number(rest.strip_prefix(':')?)?;
    let (second, rest) = number(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = fraction(rest);
    Some((format!("{hour:02}:{minute:02}:{second:02}{fraction}"), rest))
}

fn fraction(text: &str) -> (String, &str) {
    let Some(digits) = text.strip_prefix('.') else {
        return (String::new(), text);
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    // Nanoseconds are all that is kept, without trailing zeros.
    let kept = digits[..length.min(9)].trim_end_matches('0');
    let written = if kept.is_empty() { String::new() } else { format!(".{kept}") };
    (written, &digits[length..])
}

fn offset(text: &str) -> Option<String> {
    if text == "Z" {
        return Some("Z".to_owned());
    }
    let digits = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = digits.split_once(':')?;
    let valid =
        hours.len() == 2 && minutes.len() == 2 && hours.parse::<u32>().ok()? < 24 && minutes.parse::<u32>().ok()? < 60;
    valid.then(|| if digits == "00:00" { "Z".to_owned() } else { text.to_owned() })
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_the_forms_of_the_reference_are_timestamps() {
        assert_eq!(parse("2001-1-2").as_deref(), Some("2001-01-02T00:00:00Z"));
        assert_eq!(parse("2001-12-14t21:59:43.10-05:00").as_deref(), Some("2001-12-14T21:59:43.1-05:00"));
        assert_eq!(parse("2001-12-14 21:59:43").as_deref(), Some("2001-12-14T21:59:43Z"));
        for text in ["2001-02-29", "2001-13-01", "2001-12-14 21:59:43 Z", "2001-01-01-x", "20010101"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
