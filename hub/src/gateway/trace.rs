//! The routing key in a request: `tracestate` and `baggage` both carry it, the client's own word about it never counts.
//!
//! Formats: W3C Trace Context and W3C Baggage. Without a `traceparent`, tracing libraries drop `tracestate`, so one is
//! made.

use http::{HeaderMap, HeaderName, HeaderValue};
use lapdev_api::key::EnvironmentKey;
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

const MEMBER: &str = "lapdev";
/// A `tracestate` has at most so many members; the rightmost goes.
const MOST_MEMBERS: usize = 32;

/// Writes the environment's key; for a baseline, only strips a client's own.
pub(super) fn write(headers: &mut HeaderMap, key: Option<&EnvironmentKey>) {
    let ours = key.map(|key| format!("{MEMBER}={key}"));
    let mut state = members(headers, "tracestate");
    state.splice(0..0, ours.clone());
    state.truncate(MOST_MEMBERS);
    set(headers, HeaderName::from_static("tracestate"), &state);
    let mut baggage = members(headers, "baggage");
    baggage.splice(0..0, ours);
    set(headers, HeaderName::from_static("baggage"), &baggage);
    if key.is_some() && !headers.get("traceparent").is_some_and(is_traceparent) {
        let parent = HeaderValue::try_from(traceparent()).expect("hexadecimal digits are legal");
        headers.insert("traceparent", parent);
    }
}

/// A list header's members but ours.
fn members(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let members = values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty());
    let is_ours = |member: &&str| {
        let name = member.split(['=', ';']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(MEMBER)
    };
    members.filter(|member| !is_ours(member)).map(str::to_owned).collect()
}

fn set(headers: &mut HeaderMap, name: HeaderName, members: &[String]) {
    match HeaderValue::try_from(members.join(",")) {
        Ok(value) if !members.is_empty() => headers.insert(name, value),
        _ => headers.remove(name),
    };
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

    fn written(key: Option<&str>, before: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        write(&mut headers, key.map(|key| key.parse().expect("legal")).as_ref());
        headers
    }

    #[test]
    fn the_key_comes_first_and_the_clients_own_is_gone() {
        let before = [
            ("tracestate", "a=1, lapdev=evil"),
            ("tracestate", "lapdev = evil,b=2"),
            ("baggage", "lapdev=evil;p=1,user=x"),
        ];
        let headers = written(Some("feature-x-abc234"), &before);
        assert_eq!(headers["tracestate"], "lapdev=feature-x-abc234,a=1,b=2");
        assert_eq!(headers["baggage"], "lapdev=feature-x-abc234,user=x");
        assert!(is_traceparent(&headers["traceparent"]));
        let headers = written(None, &before);
        assert_eq!(headers["tracestate"], "a=1,b=2");
        assert!(!headers.contains_key("traceparent"));
    }

    #[test]
    fn a_full_tracestate_loses_its_rightmost_member() {
        let full: String = (0..32).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        let mut headers = HeaderMap::new();
        headers.insert("tracestate", HeaderValue::try_from(full).expect("legal"));
        write(&mut headers, Some(&"x-abc234".parse().expect("legal")));
        let state = headers["tracestate"].to_str().expect("text");
        assert_eq!(state.split(',').count(), 32);
        assert!(state.starts_with("lapdev=x-abc234,k0=1") && state.ends_with("k30=1"), "{state}");
    }

    #[test]
    fn a_valid_traceparent_stays_and_an_invalid_one_does_not() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(written(Some("x-abc234"), &[("traceparent", valid)])["traceparent"], valid);
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for invalid in ["", "nonsense", zero] {
            assert_ne!(written(Some("x-abc234"), &[("traceparent", invalid)])["traceparent"], invalid);
        }
        assert_ne!(traceparent(), traceparent());
    }
}
