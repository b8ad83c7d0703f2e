//! The routing key in a request: `tracestate` and `baggage` both carry it, the client's own word about it never counts.
//!
//! Formats: W3C Trace Context and W3C Baggage. Without a valid `traceparent`, tracing libraries drop `tracestate`, so one is
//! made; what else `tracestate` held then belongs to no trace and goes, as Trace Context says. Other members stay as they
//! are, to the byte, as far as the limits allow.

use http::{HeaderMap, HeaderName, HeaderValue};
use lapdev_api::{
    key::EnvironmentKey,
    trace_context::{MEMBER, MOST_MEMBERS, may_pass_for_ours},
};
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// Up to here everybody must pass a `baggage` on; beyond, libraries may drop all of it, and the key with it.
const BAGGAGE_MEMBERS: usize = 64;
const BAGGAGE_BYTES: usize = 8192;

/// Writes the environment's key; for a baseline, only strips a client's own.
pub(super) fn write(headers: &mut HeaderMap, key: Option<&EnvironmentKey>) {
    let (mut state, mut baggage) = (foreign(headers, &STATE), foreign(headers, &BAGGAGE));
    if let Some(key) = key {
        if !has_traceparent(headers) {
            let parent = HeaderValue::try_from(traceparent()).expect("hexadecimal digits are legal");
            headers.insert(PARENT, parent);
            state.clear();
        }
        let ours = format!("{MEMBER}={key}").into_bytes();
        state.insert(0, ours.clone());
        state.truncate(MOST_MEMBERS);
        baggage.insert(0, ours);
        shorten(&mut baggage);
    }
    set(headers, STATE, &state);
    set(headers, BAGGAGE, &baggage);
}

/// A list header's members but ours. Bytes, not text: what others wrote there may be neither ASCII nor UTF-8.
fn foreign(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    let lines = headers.get_all(name).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty() && !may_pass_for_ours(member)).map(<[u8]>::to_vec).collect()
}

/// Drops the rightmost members until the limits hold.
fn shorten(baggage: &mut Vec<Vec<u8>>) {
    baggage.truncate(BAGGAGE_MEMBERS);
    // Each with its comma.
    let mut bytes = baggage.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while bytes > BAGGAGE_BYTES
        && let Some(last) = baggage.pop()
    {
        bytes -= last.len() + 1;
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, members: &[Vec<u8>]) {
    match HeaderValue::from_bytes(&members.join(&b","[..])) {
        Ok(value) if !members.is_empty() => headers.insert(name, value),
        _ => headers.remove(name),
    };
}

/// Exactly one, and legal.
fn has_traceparent(headers: &HeaderMap) -> bool {
    let mut parents = headers.get_all(&PARENT).iter();
    parents.next().is_some_and(is_traceparent) && parents.next().is_none()
}

fn is_traceparent(value: &HeaderValue) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let Ok(text) = value.to_str() else { return false };
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, parent, flags, rest @ ..] = parts.as_slice() else { return false };
    let lengths = [version.len(), trace.len(), parent.len(), flags.len()] == [2, 32, 16, 2];
    let legal = hex(version) && hex(trace) && hex(parent) && hex(flags) && *version != "ff";
    lengths && legal && !zero(trace) && !zero(parent) && (rest.is_empty() || *version != "00")
}

/// A new trace. It must be unlikely to be there twice, no more, so the standard library's random hash keys will do.
fn traceparent() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let (one, two) = (RandomState::new(), RandomState::new());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let half = |state: &RandomState, salt: u64| state.hash_one((count, salt)) | 1;
    format!("00-{:016x}{:016x}-{:016x}-01", half(&one, 0), half(&two, 1), half(&one, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn written(key: Option<&str>, before: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_str(value).expect("legal"));
        }
        write(&mut headers, key.map(|key| key.parse().expect("legal")).as_ref());
        headers
    }

    #[test]
    fn the_key_comes_first_and_the_clients_own_is_gone() {
        let before = [
            ("traceparent", VALID),
            ("tracestate", "a=1, lapdev=evil"),
            ("tracestate", "lapdev = evil,b=2"),
            ("baggage", "lapdev=evil;p=1,user=x,%6Capdev=evil,LAPDEV=evil, %6c%61pdev%20=evil;q"),
        ];
        let headers = written(Some("feature-x-abc234"), &before);
        assert_eq!(headers["tracestate"], "lapdev=feature-x-abc234,a=1,b=2");
        assert_eq!(headers["baggage"], "lapdev=feature-x-abc234,user=x");
        let headers = written(None, &before);
        assert_eq!(headers["tracestate"], "a=1,b=2");
        assert_eq!(headers["baggage"], "user=x");
        assert_eq!(headers["traceparent"], VALID);
        let headers = written(None, &[("tracestate", "lapdev=evil"), ("baggage", "lapdev=evil")]);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn what_others_wrote_stays_to_the_byte() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_bytes(b"city=M\xc3\xbcnchen\xff;p=1,lapdevs=1").expect("legal"));
        write(&mut headers, Some(&"x-abc234".parse().expect("legal")));
        assert_eq!(headers["baggage"].as_bytes(), b"lapdev=x-abc234,city=M\xc3\xbcnchen\xff;p=1,lapdevs=1");
    }

    fn numbered(count: usize, value: &str) -> String {
        (0..count).map(|n| format!("k{n}={value}")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn a_full_tracestate_loses_its_rightmost_member() {
        let headers = written(Some("x-abc234"), &[("traceparent", VALID), ("tracestate", &numbered(32, "1"))]);
        assert_eq!(headers["tracestate"], format!("lapdev=x-abc234,{}", numbered(31, "1")));
        let untouched = written(None, &[("tracestate", &numbered(40, "1"))]);
        assert_eq!(untouched["tracestate"], numbered(40, "1"), "a baseline's is not ours to shorten");
    }

    #[test]
    fn a_baggage_stays_within_what_everybody_passes_on() {
        let headers = written(Some("x-abc234"), &[("baggage", &numbered(64, "1"))]);
        assert_eq!(headers["baggage"], format!("lapdev=x-abc234,{}", numbered(63, "1")));
        // `lapdev=x-abc234,` has 16 bytes, and the limit is inclusive.
        let (fits, over) = ("a=".to_owned() + &"v".repeat(8174), "a=".to_owned() + &"v".repeat(8175));
        assert_eq!(written(Some("x-abc234"), &[("baggage", &fits)])["baggage"].len(), BAGGAGE_BYTES);
        assert_eq!(written(Some("x-abc234"), &[("baggage", &over)])["baggage"], "lapdev=x-abc234");
    }

    #[test]
    fn a_valid_traceparent_stays_and_an_invalid_one_takes_its_tracestate_along() {
        let headers = written(Some("x-abc234"), &[("traceparent", VALID), ("tracestate", "a=1")]);
        assert_eq!(
            (&headers["traceparent"], &headers["tracestate"]),
            (&VALID.parse().expect("legal"), &"lapdev=x-abc234,a=1".parse().expect("legal"))
        );
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for invalid in [&[][..], &[""], &["nonsense"], &[zero], &[VALID, VALID]] {
            let mut before: Vec<_> = invalid.iter().map(|value| ("traceparent", *value)).collect();
            before.push(("tracestate", "a=1"));
            let headers = written(Some("x-abc234"), &before);
            assert_eq!(headers.get_all("traceparent").iter().count(), 1, "{invalid:?}");
            assert!(is_traceparent(&headers["traceparent"]) && headers["traceparent"] != VALID, "{invalid:?}");
            assert_eq!(headers["tracestate"], "lapdev=x-abc234", "{invalid:?}");
        }
        assert_ne!(traceparent(), traceparent());
    }
}
