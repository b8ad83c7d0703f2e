//! How long the body of an HTTP/1 message is, and what its head asks of the connection. Pure; RFC 9112 §6 and §9, with no
//! reading left open: whatever two parties could read differently is an error.

use super::head::{AnswerHead, BadHead, Fields, Kind, RequestHead, number};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With a chunk of length 0.
    Chunked,
    /// With the connection; of answers alone.
    UntilClose,
}

/// What a request's head asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Its body.
    pub body: Body,
    /// Whether the client wants no further request on this connection.
    pub close: bool,
    /// Whether it offers another protocol, or is `CONNECT`.
    pub tunnel: bool,
    /// Whether it is `CONNECT`: then 2xx begins the tunnel, else 101.
    pub connect: bool,
    /// Whether it is `HEAD`: then no answer has a body.
    pub head: bool,
    /// Whether it may be sent again after an endpoint may have seen it.
    pub repeatable: bool,
    /// Whether `connection` names fields that are not passed on.
    pub names_fields: bool,
    /// Whether the client takes trailer fields.
    pub trailers: bool,
}

/// What an answer's head says.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Its body.
    pub body: Body,
    /// Whether the endpoint takes no further request on this connection.
    pub close: bool,
    /// Whether `connection` names fields that are not passed on.
    pub names_fields: bool,
}

#[derive(Debug, Default)]
struct Options {
    close: bool,
    upgrade: bool,
    names_fields: bool,
}

impl Request {
    /// Reads it off a head.
    ///
    /// # Errors
    /// [`BadHead`] where the length is not beyond doubt, or the host is not.
    pub fn of(head: &RequestHead, bytes: &[u8]) -> Result<Self, BadHead> {
        let (method, fields) = (head.method.of(bytes), &head.fields);
        one_host(head)?;
        let body = request_body(head, bytes)?;
        let options = options(fields, bytes);
        let connect = method == b"CONNECT";
        if connect && body != Body::None {
            return Err(BadHead::Malformed("CONNECT has no body"));
        }
        let safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
        let tunnel = connect || (head.one_one && options.upgrade && body == Body::None && offers(fields, bytes));
        Ok(Self {
            body,
            close: options.close || !head.one_one,
            tunnel,
            connect,
            head: method == b"HEAD",
            repeatable: safe && body == Body::None && !tunnel,
            names_fields: options.names_fields,
            trailers: fields.values(bytes, Kind::Te).any(|value| tokens(value).any(|t| is(t, "trailers"))),
        })
    }
}

impl Answer {
    /// Reads it off a head, the answer to `request`.
    ///
    /// # Errors
    /// [`BadHead`] where the length is not beyond doubt.
    pub fn of(head: &AnswerHead, bytes: &[u8], request: &Request) -> Result<Self, BadHead> {
        let options = options(&head.fields, bytes);
        let bodiless = request.head || matches!(head.status, 100..200 | 204 | 304);
        let body = if bodiless { Body::None } else { answer_body(head, bytes)? };
        // Two lengths: the chunks count, and the connection is not trusted further.
        let doubtful = head.fields.of(Kind::TransferEncoding).count() + head.fields.of(Kind::ContentLength).count() > 1;
        let close = options.close || !head.one_one || doubtful || body == Body::UntilClose;
        Ok(Self { body, close, names_fields: options.names_fields })
    }
}

fn one_host(head: &RequestHead) -> Result<(), BadHead> {
    match head.fields.of(Kind::Host).count() {
        1 => Ok(()),
        0 if !head.one_one => Ok(()),
        0 => Err(BadHead::Malformed("it has no host field")),
        _ => Err(BadHead::Malformed("it has several host fields")),
    }
}

fn request_body(head: &RequestHead, bytes: &[u8]) -> Result<Body, BadHead> {
    let length = length(&head.fields, bytes)?;
    let mut codings = head.fields.values(bytes, Kind::TransferEncoding);
    let Some(coding) = codings.next() else {
        return Ok(length.filter(|length| *length > 0).map_or(Body::None, Body::Length));
    };
    if length.is_some() {
        return Err(BadHead::Malformed("it has both content-length and transfer-encoding"));
    }
    if !head.one_one {
        return Err(BadHead::Malformed("HTTP/1.0 has no transfer-encoding"));
    }
    if codings.next().is_some() {
        return Err(BadHead::Malformed("it has several transfer-encoding fields"));
    }
    if is(coding, "chunked") { Ok(Body::Chunked) } else { Err(BadHead::Coding) }
}

fn answer_body(head: &AnswerHead, bytes: &[u8]) -> Result<Body, BadHead> {
    let mut codings = head.fields.values(bytes, Kind::TransferEncoding);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(length(&head.fields, bytes)?.map_or(Body::UntilClose, Body::Length)),
        (Some(coding), None) if is(coding, "chunked") && head.one_one => Ok(Body::Chunked),
        _ => Err(BadHead::Coding),
    }
}

/// The one content length; several that agree are one.
fn length(fields: &Fields, bytes: &[u8]) -> Result<Option<u64>, BadHead> {
    const BAD: BadHead = BadHead::Malformed("its content-length is not one number");
    let mut length = None;
    for value in fields.values(bytes, Kind::ContentLength) {
        let number = number(value).ok_or(BAD)?;
        if length.is_some_and(|before| before != number) {
            return Err(BAD);
        }
        length = Some(number);
    }
    Ok(length)
}

fn options(fields: &Fields, bytes: &[u8]) -> Options {
    let mut options = Options::default();
    for token in fields.values(bytes, Kind::Connection).flat_map(tokens) {
        match token {
            token if is(token, "close") => options.close = true,
            token if is(token, "upgrade") => options.upgrade = true,
            token if is(token, "keep-alive") || is(token, "te") || token.is_empty() => {}
            _ => options.names_fields = true,
        }
    }
    options
}

/// Whether `upgrade` offers anything but HTTP/2, which the router begins with prior knowledge alone.
fn offers(fields: &Fields, bytes: &[u8]) -> bool {
    let mut offered = fields.values(bytes, Kind::Upgrade).flat_map(tokens).peekable();
    offered.peek().is_some() && offered.all(|protocol| !is(protocol, "h2c") && !is(protocol, "h2"))
}

/// The members of a list.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn is(token: &[u8], wanted: &str) -> bool {
    token.eq_ignore_ascii_case(wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::head, *};

    fn request(fields: &str) -> Result<Request, BadHead> {
        of("POST / HTTP/1.1\r\nhost: web\r\n", fields)
    }

    fn of(first: &str, fields: &str) -> Result<Request, BadHead> {
        let text = format!("{first}{fields}\r\n");
        Request::of(&head::request(text.as_bytes())?, text.as_bytes())
    }

    fn answer(text: &str, is_head: bool) -> Result<Answer, BadHead> {
        let method = if is_head { "HEAD" } else { "GET" };
        let request = of(&format!("{method} / HTTP/1.1\r\nhost: web\r\n"), "").expect("it is legal");
        Answer::of(&head::answer(text.as_bytes())?, text.as_bytes(), &request)
    }

    #[test]
    fn a_length_is_beyond_doubt_or_refused() {
        assert_eq!(request("").map(|r| r.body), Ok(Body::None));
        assert_eq!(request("Content-Length: 5\r\n").map(|r| r.body), Ok(Body::Length(5)));
        assert_eq!(request("content-length: 5\r\ncontent-length: 5\r\n").map(|r| r.body), Ok(Body::Length(5)));
        assert_eq!(request("Transfer-Encoding: Chunked\r\n").map(|r| r.body), Ok(Body::Chunked));
        for bad in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: -1\r\n",
            "content-length: 0x5\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(matches!(request(bad), Err(BadHead::Malformed(_))), "{bad:?}");
        }
        for unknown in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "\x0bchunked", "chunked;a=b", ""] {
            assert!(request(&format!("transfer-encoding: {unknown}\r\n")).is_err(), "{unknown:?}");
        }
        assert!(of("POST / HTTP/1.0\r\n", "transfer-encoding: chunked\r\n").is_err());
    }

    #[test]
    fn one_host_is_named() {
        assert!(of("GET / HTTP/1.1\r\n", "").is_err());
        assert!(of("GET / HTTP/1.1\r\n", "host: a\r\nHost: a\r\n").is_err());
        assert!(of("GET / HTTP/1.0\r\n", "").is_ok());
    }

    #[test]
    fn a_connection_closes_or_is_kept_and_other_protocols_are_offered_but_never_http2() {
        assert!(!request("").expect("legal").close);
        assert!(request("Connection: foo, Close\r\n").expect("legal").close);
        assert!(request("Connection: foo, Close\r\n").expect("legal").names_fields);
        let get = |fields| of("GET / HTTP/1.1\r\nhost: web\r\n", fields).expect("legal");
        assert!(get("connection: Upgrade\r\nupgrade: websocket\r\n").tunnel);
        assert!(!get("connection: upgrade, http2-settings\r\nupgrade: h2c\r\n").tunnel);
        assert!(!get("upgrade: websocket\r\n").tunnel, "connection must say so too");
        assert!(!get("connection: upgrade\r\n").tunnel);
    }

    #[test]
    fn only_what_changes_nothing_twice_is_repeated() {
        let repeatable =
            |first: &str, fields: &str| of(&format!("{first}host: web\r\n"), fields).expect("legal").repeatable;
        assert!(repeatable("GET / HTTP/1.1\r\n", ""));
        assert!(repeatable("DELETE / HTTP/1.1\r\n", "content-length: 0\r\n"));
        assert!(!repeatable("POST / HTTP/1.1\r\n", ""));
        assert!(!repeatable("PUT / HTTP/1.1\r\n", "content-length: 1\r\n"));
    }

    #[test]
    fn an_answers_length_follows_from_request_and_status() {
        let body = |text: &str| answer(text, false).map(|a| (a.body, a.close));
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"), Ok((Body::Length(3), false)));
        assert_eq!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Ok((Body::Chunked, false)));
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n"), Ok((Body::UntilClose, true)));
        assert_eq!(body("HTTP/1.1 204 No\r\n\r\n"), Ok((Body::None, false)));
        assert_eq!(body("HTTP/1.1 304 No\r\ncontent-length: 3\r\n\r\n"), Ok((Body::None, false)));
        assert_eq!(body("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n"), Ok((Body::Length(3), true)));
        let both = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(body(both), Ok((Body::Chunked, true)), "passed on without the length, and not trusted further");
        assert!(body("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n").is_err());
        assert!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n").is_err());
        let head = answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", true).map(|a| a.body);
        assert_eq!(head, Ok(Body::None));
    }
}
