//! The head of an HTTP/1 message: where its parts are, and whether it is exactly what RFC 9112 allows. Pure.
//!
//! Strict, because two readers that differ about one message are how requests are smuggled: a bare CR or LF, a folded
//! line, a space before the colon, a control character is an error, never repaired. It must not copy: what it gives back
//! are places in the bytes, so that what is passed on is what was sent, in its case and order.

use crate::limits::{FIELDS, HEAD_BYTES};
use std::ops::Range;

/// A place in a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let place = |at: usize| u16::try_from(at).expect("a head is at most HEAD_BYTES long");
        Self { start: place(start), end: place(end) }
    }

    /// The bytes there.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[Range { start: usize::from(self.start), end: usize::from(self.end) }]
    }
}

/// The fields that mean something to a proxy; all others are [`Kind::Plain`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Plain,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    /// `keep-alive`, `proxy-connection`, `http2-settings`: for one connection only.
    OneConnection,
    Te,
    Upgrade,
    Expect,
    Tracestate,
    Baggage,
    Traceparent,
    Forwarded,
    ForwardedFor,
    ServedBy,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match name.len() {
            2 if is("te") => Self::Te,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("baggage") => Self::Baggage,
            9 if is("forwarded") => Self::Forwarded,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::OneConnection,
            10 if is("tracestate") => Self::Tracestate,
            11 if is("traceparent") => Self::Traceparent,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::OneConnection,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("proxy-connection") => Self::OneConnection,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            18 if is(lapdev_api::route::SERVED_BY) => Self::ServedBy,
            _ => Self::Plain,
        }
    }
}

/// One header field.
#[derive(Debug, Clone, Copy, Default)]
pub struct Field {
    /// Its name, as sent.
    pub name: Span,
    /// Its value, without the white space around it.
    pub value: Span,
    /// What it is.
    pub kind: Kind,
}

/// The fields of a head.
#[derive(Debug, Clone)]
pub struct Fields {
    list: [Field; FIELDS],
    len: usize,
}

impl Fields {
    /// In the order they were sent.
    #[must_use]
    pub fn all(&self) -> &[Field] {
        &self.list[..self.len]
    }

    /// Those of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Field> {
        self.all().iter().filter(move |field| field.kind == kind)
    }

    /// The values of one kind.
    pub fn values<'a>(&'a self, head: &'a [u8], kind: Kind) -> impl Iterator<Item = &'a [u8]> {
        self.of(kind).map(move |field| field.value.of(head))
    }

    fn push(&mut self, field: Field) -> Result<(), BadHead> {
        let place = self.list.get_mut(self.len).ok_or(BadHead::TooLarge)?;
        *place = field;
        self.len += 1;
        Ok(())
    }
}

/// A request's head.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Span,
    /// The request target.
    pub target: Span,
    /// Whether it is HTTP/1.1, or 1.0.
    pub one_one: bool,
    /// The header fields.
    pub fields: Fields,
}

/// An answer's head.
#[derive(Debug, Clone)]
pub struct AnswerHead {
    /// The status.
    pub status: u16,
    /// From after the version to the end of the line: status and reason.
    pub rest: Span,
    /// Whether it is HTTP/1.1, or 1.0.
    pub one_one: bool,
    /// The header fields.
    pub fields: Fields,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// Not what the grammar allows, or two readings of it are possible.
    #[error("the request is not valid HTTP/1: {0}")]
    Malformed(&'static str),
    /// Too many fields, or bytes.
    #[error("the request's header fields are too large: at most {FIELDS} fields and {HEAD_BYTES} bytes")]
    TooLarge,
    /// HTTP/2 or later, or 0.9.
    #[error("the router speaks HTTP/1.0, HTTP/1.1 and HTTP/2")]
    Version,
    /// A transfer coding other than `chunked`.
    #[error("the only transfer coding that the router knows is chunked")]
    Coding,
}

/// Where the head ends in `bytes`, looked for from `from` on: after the first empty line, however its end is written, so
/// that a head with bare LFs is refused by the parser and not waited for.
#[must_use]
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        at += next + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Reads a whole request head, the empty line included.
///
/// # Errors
/// [`BadHead`] for anything that RFC 9112 does not allow.
pub fn request(head: &[u8]) -> Result<RequestHead, BadHead> {
    let line = line(head, 0)?;
    let method = run(head, 0, is_token);
    let target = run(head, method + 1, |byte| byte > b' ' && byte != 0x7f);
    if method == 0 || head[method] != b' ' || target == method + 1 || head[target] != b' ' {
        return Err(BadHead::Malformed("its first line is not 'METHOD target HTTP/1.1'"));
    }
    let one_one = version(&head[target + 1..line.end])?;
    let fields = fields(head, line.next)?;
    Ok(RequestHead { method: Span::new(0, method), target: Span::new(method + 1, target), one_one, fields })
}

/// Reads a whole answer's head, the empty line included.
///
/// # Errors
/// [`BadHead`] for anything that RFC 9112 does not allow.
pub fn answer(head: &[u8]) -> Result<AnswerHead, BadHead> {
    const STATUS: BadHead = BadHead::Malformed("its first line is not 'HTTP/1.1 status'");
    let line = line(head, 0)?;
    let first = &head[..line.end];
    let (one_one, rest) = (version(first.get(..8).ok_or(STATUS)?)?, first.get(8..).ok_or(STATUS)?);
    let status = match rest {
        [b' ', digits @ ..] if digits.len() == 3 || digits.get(3) == Some(&b' ') => {
            number(&digits[..3]).ok_or(STATUS)?
        }
        _ => return Err(STATUS),
    };
    if !(100..1000).contains(&status) || !rest.iter().all(|byte| is_value(*byte)) {
        return Err(STATUS);
    }
    let status = u16::try_from(status).map_err(|_| STATUS)?;
    Ok(AnswerHead { status, rest: Span::new(8, line.end), one_one, fields: fields(head, line.next)? })
}

/// A decimal number of nothing but digits.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u64> {
    let legal = !digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
    legal.then(|| digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Reads one field line of a section that ends with an empty line; `None` is that line.
///
/// # Errors
/// [`BadHead::Malformed`].
pub fn field(bytes: &[u8], at: usize) -> Result<(Option<Field>, usize), BadHead> {
    if bytes[at..].starts_with(b"\r\n") {
        return Ok((None, at + 2));
    }
    let colon = run(bytes, at, is_token);
    if colon == at || bytes.get(colon) != Some(&b':') {
        return Err(BadHead::Malformed("a header field does not begin with 'name:'"));
    }
    let end = run(bytes, colon + 1, is_value);
    if !bytes[end..].starts_with(b"\r\n") {
        return Err(BadHead::Malformed("a header field has a control character, or does not end with CR LF"));
    }
    let value = &bytes[colon + 1..end];
    let start = colon + 1 + value.iter().take_while(|byte| is_blank(**byte)).count();
    let blanks = bytes[start..end].iter().rev().take_while(|byte| is_blank(**byte)).count();
    let name = Span::new(at, colon);
    let kind = Kind::of(&bytes[at..colon]);
    Ok((Some(Field { name, value: Span::new(start, end - blanks), kind }), end + 2))
}

fn fields(head: &[u8], mut at: usize) -> Result<Fields, BadHead> {
    let mut fields = Fields { list: [Field::default(); FIELDS], len: 0 };
    loop {
        let (found, next) = field(head, at)?;
        let Some(found) = found else { break };
        fields.push(found)?;
        at = next;
    }
    Ok(fields)
}

struct Line {
    end: usize,
    next: usize,
}

fn line(head: &[u8], from: usize) -> Result<Line, BadHead> {
    if head.len() > HEAD_BYTES {
        return Err(BadHead::TooLarge);
    }
    let lf = head[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at);
    match lf {
        Some(lf) if lf > from && head[lf - 1] == b'\r' => Ok(Line { end: lf - 1, next: lf + 1 }),
        _ => Err(BadHead::Malformed("a line does not end with CR LF")),
    }
}

fn version(bytes: &[u8]) -> Result<bool, BadHead> {
    match bytes {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(BadHead::Version)
        }
        _ => Err(BadHead::Malformed("its first line has no HTTP version")),
    }
}

/// Where a run of such bytes from `from` on ends.
fn run(bytes: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes[from.min(bytes.len())..].iter().position(|byte| !is(*byte)).map_or(bytes.len(), |at| from + at)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_value(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

const TOKEN: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Whether a byte may stand in a token: a method, a field's name.
#[must_use]
pub fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(head: &str) -> BadHead {
        request(head.as_bytes()).map(|head| panic!("{head:?}")).expect_err("refused")
    }

    #[test]
    fn the_parts_are_found_where_they_are() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: web\r\nX-Case:\t two words \r\nempty:\r\ntraceState: lapdev=x\r\n\r\n";
        let parsed = request(head).expect("it is legal");
        assert_eq!((parsed.method.of(head), parsed.target.of(head), parsed.one_one), (&b"GET"[..], &b"/a?b"[..], true));
        let fields: Vec<_> = parsed.fields.all().iter().map(|f| (f.name.of(head), f.value.of(head))).collect();
        let two_words = (&b"X-Case"[..], &b"two words"[..]);
        assert_eq!(fields[..3], [(&b"Host"[..], &b"web"[..]), two_words, (&b"empty"[..], &b""[..])]);
        assert_eq!(parsed.fields.values(head, Kind::Tracestate).collect::<Vec<_>>(), [b"lapdev=x"]);
        assert!(!request(b"GET / HTTP/1.0\r\n\r\n").expect("it is legal").one_one);
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        for bad in [
            "GET / HTTP/1.1\nHost: web\n\n",
            "GET / HTTP/1.1\r\nHost: web\n\r\n",
            "GET / HTTP/1.1\r\nHost: web\r\n\n",
            "GET / HTTP/1.1\r\nHost : web\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: web\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: web\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: web\r\n\tfolded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: web\r\r\n\r\n",
            "GET / HTTP/1.1\r\n: web\r\n\r\n",
            "GET / HTTP/1.1\r\nHost\r\n\r\n",
            "GET / HTTP/1.1\r\nHo(st: web\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / /b HTTP/1.1\r\n\r\n",
            "GET /\x01 HTTP/1.1\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(matches!(why(bad), BadHead::Malformed(_)), "{bad:?}");
        }
        assert_eq!(why("GET / HTTP/2.0\r\n\r\n"), BadHead::Version);
    }

    #[test]
    fn too_many_fields_are_too_many() {
        let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(request(head(FIELDS).as_bytes()).is_ok());
        assert_eq!(why(&head(FIELDS + 1)), BadHead::TooLarge);
        assert_eq!(why(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_BYTES))), BadHead::TooLarge);
    }

    #[test]
    fn an_answer_has_a_status_and_perhaps_a_reason() {
        for (head, status) in
            [("HTTP/1.1 200 OK\r\n\r\n", 200), ("HTTP/1.0 404\r\n\r\n", 404), ("HTTP/1.1 599 \r\n\r\n", 599)]
        {
            assert_eq!(answer(head.as_bytes()).map(|head| head.status), Ok(status));
        }
        for bad in [
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1  200\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "x\r\n\r\n",
        ] {
            assert!(answer(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_end_is_found_however_the_bytes_arrive() {
        let head = b"GET / HTTP/1.1\r\na: b\r\n\r\nbody";
        assert_eq!(end(head, 0), Some(24));
        assert_eq!(end(&head[..23], 0), None);
        assert_eq!(end(head, 20), Some(24), "looked for again from a little before where it ended");
        assert_eq!(end(b"a\n\nb", 0), Some(3), "so that it is refused at once");
    }
}
