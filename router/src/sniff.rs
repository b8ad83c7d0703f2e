//! What a connection speaks, from its first bytes. Pure.
//!
//! Only what can be nothing but HTTP is taken for it: a wrong guess would break a protocol that worked without the router,
//! while HTTP that is missed still reaches the baseline. So a request line needs a target (`GET /`, `OPTIONS *`,
//! `GET http://`), which Redis' or memcached's inline commands, SMTP, SIP and RTSP do not have.

use crate::limits::SNIFF_BYTES;

/// HTTP/2's client preface.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LONGEST_METHOD: usize = 17;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/2 with prior knowledge.
    Http2,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// Anything else: passed on untouched.
    Other,
    /// More bytes would tell.
    Unknown,
}

/// Judges the first bytes of a connection; with [`SNIFF_BYTES`] of them the answer is never [`Speaks::Unknown`].
#[must_use]
pub fn speaks(bytes: &[u8]) -> Speaks {
    let seen = &bytes[..bytes.len().min(SNIFF_BYTES)];
    if seen.starts_with(PREFACE) {
        return Speaks::Http2;
    }
    if PREFACE.starts_with(seen) {
        return Speaks::Unknown;
    }
    let method = seen.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match seen.get(method) {
        _ if method > LONGEST_METHOD => Speaks::Other,
        None => Speaks::Unknown,
        Some(b' ') if method > 0 => target(&seen[..method], &seen[method + 1..], seen.len() == SNIFF_BYTES),
        Some(_) => Speaks::Other,
    }
}

fn target(method: &[u8], target: &[u8], last: bool) -> Speaks {
    let unknown = if last { Speaks::Other } else { Speaks::Unknown };
    match target.first() {
        None => unknown,
        Some(b'/') => Speaks::Http1,
        Some(b'*') => begins(target, b"* HTTP/1.", unknown),
        Some(b'h' | b'H') if method != b"CONNECT" => {
            let secure = begins_ignoring_case(target, b"https://", unknown);
            if secure == Speaks::Other { begins_ignoring_case(target, b"http://", unknown) } else { secure }
        }
        Some(byte) if method == b"CONNECT" && (byte.is_ascii_alphanumeric() || *byte == b'[') => Speaks::Http1,
        Some(_) => Speaks::Other,
    }
}

fn begins(bytes: &[u8], with: &[u8], unknown: Speaks) -> Speaks {
    let both = bytes.len().min(with.len());
    match bytes[..both] == with[..both] {
        true if both == with.len() => Speaks::Http1,
        true => unknown,
        false => Speaks::Other,
    }
}

fn begins_ignoring_case(bytes: &[u8], with: &[u8], unknown: Speaks) -> Speaks {
    begins(&bytes.to_ascii_lowercase(), with, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_known_by_its_first_bytes() {
        assert_eq!(speaks(PREFACE), Speaks::Http2);
        let request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore";
        assert_eq!(speaks(request), Speaks::Http2);
        for http1 in [
            "GET / HTTP/1.1\r\n",
            "GET /",
            "PROPFIND /a HTTP/1.1",
            "M-SEARCH * HTTP/1.1",
            "OPTIONS * HTTP/1.1\r\n",
            "GET http://web/ HTTP/1.1",
            "GET HTTPS://web/ HTTP/1.1",
            "CONNECT web:80 HTTP/1.1",
            "CONNECT [::1]:80 HTTP/1.1",
            "VERSION-CONTROL /x",
        ] {
            assert_eq!(speaks(http1.as_bytes()), Speaks::Http1, "{http1}");
        }
    }

    #[test]
    fn what_other_protocols_begin_with_is_not_http() {
        let tls = [0x16, 0x03, 0x01, 0x02];
        let postgres = [0, 0, 0, 8, 4, 210, 22, 47];
        for other in [
            &tls[..],
            &postgres,
            b"*1\r\n$4\r\nPING\r\n",
            b"PING\r\n",
            b"SET a 1\r\n",
            b"get key\r\n",
            b"EHLO host\r\n",
            b"SSH-2.0-x\r\n",
            b"OPTIONS rtsp://host/ RTSP/1.0",
            b"OPTIONS * RTSP/1.0",
            b"INVITE sip:a@b SIP/2.0",
            b"CONNECT {\"verbose\":false}",
            b"CONNECT\r\n",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
            b" GET / HTTP/1.1",
            b"\r\n",
            b"GETGETGETGETGETGETGET /",
            b"GET  / HTTP/1.1",
            b"\0",
        ] {
            assert_eq!(speaks(other), Speaks::Other, "{:?}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_prefix_of_either_is_undecided_and_never_at_full_length() {
        for bytes in
            [&b""[..], b"G", b"GET", b"GET ", b"PRI * HTTP/2.0\r\n", b"OPTIONS * H", b"GET http:/", b"CONNECT "]
        {
            assert_eq!(speaks(bytes), Speaks::Unknown, "{:?}", String::from_utf8_lossy(bytes));
        }
        for byte in 0..=255_u8 {
            assert_ne!(speaks(&[byte; SNIFF_BYTES]), Speaks::Unknown);
        }
        assert_ne!(speaks(b"VERSION-CONTROL https:///"), Speaks::Unknown);
    }
}
