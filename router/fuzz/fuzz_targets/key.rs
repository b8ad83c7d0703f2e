//! The routing key in `tracestate` and `baggage`, beside the simplest reader of both.

#![no_main]

use lapdev_api::trace_context::{MEMBER, key_in_baggage, key_in_tracestate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let joined = lines.join(&b","[..]);
    for (read, simple) in [
        (key_in_tracestate(lines.iter().copied()), simple(&joined, false)),
        (key_in_baggage(lines.iter().copied()), simple(&joined, true)),
    ] {
        assert_eq!(read.as_ref().map(|key| key.as_str().as_bytes()), simple.as_deref());
    }
    // Several header lines mean the same as one of all their members.
    assert_eq!(key_in_tracestate(lines.iter().copied()), key_in_tracestate([&joined[..]]));
    assert_eq!(key_in_baggage(lines.iter().copied()), key_in_baggage([&joined[..]]));
});

/// The first member of ours, if its value is a key.
fn simple(line: &[u8], baggage: bool) -> Option<Vec<u8>> {
    for member in line.split(|byte| *byte == b',') {
        let member = if baggage { member.split(|byte| *byte == b';').next()? } else { member };
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        let (name, Some(value)) = (parts.next()?.trim_ascii(), parts.next()) else { continue };
        if name == MEMBER.as_bytes() {
            let value = value.trim_ascii();
            let value = if baggage { decoded(value)? } else { value.to_vec() };
            return is_key(&value).then_some(value);
        }
    }
    None
}

fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < value.len() {
        if value[at] == b'%' {
            let digit = |at: usize| char::from(*value.get(at)?).to_digit(16);
            decoded.push(u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()?);
            at += 3;
        } else {
            decoded.push(value[at]);
            at += 1;
        }
    }
    Some(decoded)
}

fn is_key(value: &[u8]) -> bool {
    let inner = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=23).contains(&value.len())
        && value.iter().all(inner)
        && value.first() != Some(&b'-')
        && value.last() != Some(&b'-')
        && value != b"baseline"
}
