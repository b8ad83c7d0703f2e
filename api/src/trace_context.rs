//! The routing key in a request's headers: member `lapdev` of `tracestate` (W3C Trace Context), else of `baggage` (W3C
//! Baggage). Pure, and on raw bytes, because a router reads what anybody sends.

use crate::key::EnvironmentKey;

/// Our member's name in both headers.
pub const MEMBER: &str = "lapdev";
/// A `tracestate` has at most so many members; whoever adds one more drops the rightmost.
pub const MOST_MEMBERS: usize = 32;

/// The key that a `tracestate` carries, given its header lines in order. The first member of ours counts; one that is no
/// legal key counts as none.
pub fn key_in_tracestate<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<EnvironmentKey> {
    let mut members = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b','));
    let value = members.find_map(|member| value_of_ours(member))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The same of a `baggage`: properties after `;` are not the value, and the value may be percent-encoded.
pub fn key_in_baggage<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<EnvironmentKey> {
    let mut members = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b','));
    let value = members.find_map(|member| value_of_ours(until_property(member)))?;
    std::str::from_utf8(&percent_decoded(value)?).ok()?.parse().ok()
}

/// Whether some library may take a member of either header for ours: there are those that decode a baggage's names, or
/// ignore their case. Whoever strips a client's own key goes by this, not by what counts for routing.
#[must_use]
pub fn may_pass_for_ours(member: &[u8]) -> bool {
    let name = member.split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default();
    percent_decoded(name).is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(MEMBER.as_bytes()))
}

fn until_property(member: &[u8]) -> &[u8] {
    member.split(|byte| *byte == b';').next().unwrap_or_default()
}

fn value_of_ours(member: &[u8]) -> Option<&[u8]> {
    let equals = member.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (member[..equals].trim_ascii(), member[equals + 1..].trim_ascii());
    (name == MEMBER.as_bytes()).then_some(value)
}

fn percent_decoded(value: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut rest) = (Vec::with_capacity(value.len()), value);
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                (u8::from_str_radix(digits, 16).ok()?, after)
            }
            byte => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lines: &[&str]) -> Option<String> {
        key_in_tracestate(lines.iter().map(|line| line.as_bytes())).map(String::from)
    }

    fn baggage(lines: &[&str]) -> Option<String> {
        key_in_baggage(lines.iter().map(|line| line.as_bytes())).map(String::from)
    }

    #[test]
    fn our_member_is_found_among_others_and_over_several_lines() {
        let key = Some("x-abc234".to_owned());
        for lines in [
            &["lapdev=x-abc234"][..],
            &["a=1,lapdev=x-abc234,b=2"],
            &["a=1", "b=2 , \tlapdev=x-abc234 "],
            &[",,a=1,", "lapdev=x-abc234,lapdev=y-abc234"],
            &["broken,=,lapdev=x-abc234"],
        ] {
            assert_eq!(state(lines), key, "{lines:?}");
            assert_eq!(baggage(lines), key, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_legal_key_is_none_and_hides_no_later_one() {
        for line in ["", "lapdev", "lapdev=", "lapdev=baseline", "lapdev=X", "Lapdev=x-abc234", "xlapdev=x-abc234"] {
            assert_eq!(state(&[line]), None, "{line}");
            assert_eq!(baggage(&[line]), None, "{line}");
        }
        assert_eq!(state(&["lapdev=NO,lapdev=x-abc234"]), None, "the first one counts");
        assert_eq!(key_in_tracestate([&b"lapdev=\xff\xfe"[..]]), None);
    }

    #[test]
    fn what_only_looks_like_ours_is_known_too() {
        for member in ["lapdev=x", " lapdev ", "LapDev;p=1", "%6cap%64ev=x", "lapdev%20=x;q"] {
            assert!(may_pass_for_ours(member.as_bytes()), "{member}");
        }
        for member in ["lapdevs=x", "a=lapdev", "xlapdev=x", "%6=lapdev", ""] {
            assert!(!may_pass_for_ours(member.as_bytes()), "{member}");
        }
    }

    #[test]
    fn baggage_has_properties_and_percent_encoding_and_tracestate_has_not() {
        let key = Some("x-abc234".to_owned());
        assert_eq!(baggage(&["user=1;p=lapdev=evil,lapdev = x-abc234 ;ttl=1;p"]), key);
        assert_eq!(baggage(&["lapdev=x%2Dabc%32%334"]), key);
        for broken in ["lapdev=x-abc23%", "lapdev=x-abc%2", "lapdev=x-abc%+234"] {
            assert_eq!(baggage(&[broken]), None, "{broken}");
        }
        assert_eq!(state(&["lapdev=x%2Dabc234"]), None);
        assert_eq!(state(&["lapdev=x-abc234;p=1"]), None);
    }
}
