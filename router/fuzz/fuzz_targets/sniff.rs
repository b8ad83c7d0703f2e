//! What a connection speaks: decided by a bounded number of bytes, the same however they arrive, and HTTP/1 only where an
//! HTTP parser sees the beginning of a request too.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../src/limits.rs"]
mod limits;
#[path = "../../src/sniff.rs"]
mod sniff;

use limits::SNIFF_BYTES;
use sniff::{PREFACE, Speaks, speaks};

fuzz_target!(|bytes: &[u8]| {
    let all = speaks(bytes);
    // Once it is decided, more bytes change nothing.
    let mut decided = Speaks::Unknown;
    for end in 0..=bytes.len().min(SNIFF_BYTES + 8) {
        let now = speaks(&bytes[..end]);
        assert!(decided == Speaks::Unknown || now == decided, "{decided:?} became {now:?} at {end}");
        assert!(end < SNIFF_BYTES || now != Speaks::Unknown, "still unknown at {end}");
        decided = now;
    }
    assert_eq!(all, decided);
    match all {
        Speaks::Http2 => assert!(bytes.starts_with(PREFACE)),
        Speaks::Http1 => {
            // Whatever follows: it began as a request does.
            let first = bytes[0];
            assert!(first.is_ascii_uppercase() || first == b'-');
            let method = bytes.iter().take_while(|byte| **byte != b' ').count();
            assert!(bytes[..method].iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-'));
        }
        Speaks::Other | Speaks::Unknown => {}
    }
    // A whole, ordinary request is never missed.
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut fields);
    if let Ok(httparse::Status::Complete(_)) = request.parse(bytes)
        && let (Some(method), Some(path)) = (request.method, request.path)
        && matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS")
        && path.starts_with('/')
        && bytes.starts_with(method.as_bytes())
    {
        assert_eq!(all, Speaks::Http1, "{}", String::from_utf8_lossy(bytes));
    }
});
