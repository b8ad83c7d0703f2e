//! A head as it goes on: each field in its place, order and case, without those that are for one connection only, with the
//! client's address, and with the version that answered. Pure.
//!
//! What was there before is trusted and kept: the client's address is appended.

use super::{
    framing::{Answer, Request, tokens},
    head::{AnswerHead, Field, Fields, Kind, RequestHead},
};
use crate::buffer::Buffer;
use lapdev_api::route::SERVED_BY;
use std::net::IpAddr;

/// A client's address as the two fields write it.
#[derive(Debug, Clone)]
pub struct ClientAddress {
    /// For `x-forwarded-for`.
    pub plain: Box<str>,
    /// For `forwarded` (RFC 7239).
    pub element: Box<str>,
}

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        let element = match ip {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        Self { plain: ip.to_string().into(), element: element.into() }
    }
}

/// Writes a request's head for an endpoint.
pub fn request(out: &mut Buffer, head: &RequestHead, bytes: &[u8], is: &Request, client: &ClientAddress) {
    out.put(head.method.of(bytes));
    out.put(b" ");
    out.put(head.target.of(bytes));
    out.put(if head.one_one { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
    let fields = &head.fields;
    let names = if is.names_fields { Some(fields) } else { None };
    let mut forwarded = Appending::new(fields, Kind::Forwarded, &client.element);
    let mut forwarded_for = Appending::new(fields, Kind::ForwardedFor, &client.plain);
    let mut lengths = 0;
    for field in fields.all() {
        match field.kind {
            Kind::Connection | Kind::OneConnection | Kind::Te => {}
            Kind::Upgrade if !is.tunnel => {}
            Kind::ContentLength
                if {
                    lengths += 1;
                    lengths > 1
                } => {}
            Kind::Forwarded => forwarded.put(out, field, bytes),
            Kind::ForwardedFor => forwarded_for.put(out, field, bytes),
            Kind::Plain if names.is_some_and(|fields| is_named(fields, bytes, field)) => {}
            _ => line(out, field.name.of(bytes), field.value.of(bytes)),
        }
    }
    forwarded.finish(out, b"forwarded");
    forwarded_for.finish(out, b"x-forwarded-for");
    match (is.tunnel && !is.connect, is.trailers) {
        (true, _) => out.put(b"connection: upgrade\r\n\r\n"),
        (false, true) => out.put(b"te: trailers\r\nconnection: te\r\n\r\n"),
        (false, false) => out.put(b"\r\n"),
    }
}

/// What an answer's head says of the client's connection and of who answered.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Whether the client's connection ends after it.
    pub close: bool,
    /// Whether it is 101: the fields that say to what are passed.
    pub switching: bool,
    /// Whether the body came in chunks and goes on without, since an HTTP/1.0 client knows none.
    pub unchunked: bool,
    /// What [`SERVED_BY`] says, if anything.
    pub served_by: Option<&'a str>,
}

/// Writes an answer's head for the client.
pub fn answer(out: &mut Buffer, head: &AnswerHead, bytes: &[u8], is: &Answer, ending: Ending<'_>) {
    out.put(b"HTTP/1.1");
    out.put(head.rest.of(bytes));
    out.put(b"\r\n");
    let fields = &head.fields;
    let chunked = fields.of(Kind::TransferEncoding).next().is_some();
    let mut lengths = 0;
    for field in fields.all() {
        match field.kind {
            Kind::Connection | Kind::OneConnection => {}
            Kind::Upgrade if !ending.switching && head.status != 426 => {}
            Kind::ContentLength
                if {
                    lengths += 1;
                    lengths > 1 || chunked
                } => {}
            Kind::TransferEncoding if ending.unchunked => {}
            Kind::ServedBy if ending.served_by.is_some() => {}
            Kind::Plain if is.names_fields && is_named(fields, bytes, field) => {}
            _ => line(out, field.name.of(bytes), field.value.of(bytes)),
        }
    }
    if let Some(version) = ending.served_by {
        line(out, SERVED_BY.as_bytes(), version.as_bytes());
    }
    match (ending.switching, ending.close) {
        (true, _) => out.put(b"connection: upgrade\r\n\r\n"),
        (false, true) => out.put(b"connection: close\r\n\r\n"),
        (false, false) => out.put(b"\r\n"),
    }
}

fn line(out: &mut Buffer, name: &[u8], value: &[u8]) {
    out.put(name);
    out.put(b": ");
    out.put(value);
    out.put(b"\r\n");
}

/// Whether `connection` names the field. Only of plain ones it is asked: what frames, routes or traces a request is not the
/// client's to take away.
fn is_named(fields: &Fields, bytes: &[u8], field: &Field) -> bool {
    let name = field.name.of(bytes);
    fields.values(bytes, Kind::Connection).flat_map(tokens).any(|token| token.eq_ignore_ascii_case(name))
}

/// Appends a member to the last line of a list, or to a line of its own where there is none.
struct Appending<'a> {
    lines: usize,
    member: &'a str,
    any: bool,
}

impl<'a> Appending<'a> {
    fn new(fields: &Fields, kind: Kind, member: &'a str) -> Self {
        let lines = fields.of(kind).count();
        Self { lines, member, any: lines > 0 }
    }

    fn put(&mut self, out: &mut Buffer, field: &Field, bytes: &[u8]) {
        self.lines -= 1;
        out.put(field.name.of(bytes));
        out.put(b": ");
        out.put(field.value.of(bytes));
        if self.lines == 0 {
            if !field.value.of(bytes).is_empty() {
                out.put(b", ");
            }
            out.put(self.member.as_bytes());
        }
        out.put(b"\r\n");
    }

    fn finish(self, out: &mut Buffer, name: &[u8]) {
        if !self.any {
            line(out, name, self.member.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::head, *};

    fn passed(text: &str, ip: &str) -> String {
        let bytes = text.as_bytes();
        let head = head::request(bytes).expect("it is legal");
        let (is, mut out) = (Request::of(&head, bytes).expect("it is legal"), Buffer::default());
        request(&mut out, &head, bytes, &is, &ip.parse::<IpAddr>().expect("an address").into());
        String::from_utf8(out.bytes().to_vec()).expect("it is text")
    }

    fn answered(text: &str, ending: Ending<'_>) -> String {
        let asked = b"GET / HTTP/1.1\r\nhost: web\r\n\r\n";
        let asked = Request::of(&head::request(asked).expect("legal"), asked).expect("legal");
        let head = head::answer(text.as_bytes()).expect("it is legal");
        let is = Answer::of(&head, text.as_bytes(), &asked).expect("it is legal");
        let mut out = Buffer::default();
        answer(&mut out, &head, text.as_bytes(), &is, ending);
        String::from_utf8(out.bytes().to_vec()).expect("it is text")
    }

    #[test]
    fn fields_keep_case_order_and_lines_and_the_address_is_appended() {
        let sent = "GET /a HTTP/1.1\r\nHost: Web\r\nX-One: 1\r\nFORWARDED: for=1.1.1.1\r\nx-forwarded-for: 1.1.1.1\r\n\
                    tracestate: a=1\r\nTraceState: lapdev=x-abc234\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n";
        assert_eq!(
            passed(sent, "10.0.0.9"),
            "GET /a HTTP/1.1\r\nHost: Web\r\nX-One: 1\r\nFORWARDED: for=1.1.1.1, for=10.0.0.9\r\n\
             x-forwarded-for: 1.1.1.1\r\ntracestate: a=1\r\nTraceState: lapdev=x-abc234\r\n\
             X-Forwarded-For: 2.2.2.2, 10.0.0.9\r\n\r\n"
        );
        assert_eq!(
            passed("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "fd00::1"),
            "GET / HTTP/1.1\r\nhost: a\r\nforwarded: for=\"[fd00::1]\"\r\nx-forwarded-for: fd00::1\r\n\r\n"
        );
    }

    #[test]
    fn fields_for_one_connection_stay_behind_and_none_that_routes_can_be_named_away() {
        let sent = "GET / HTTP/1.1\r\nhost: a\r\nConnection: close, X-Hop, Host, tracestate\r\nx-hop: 1\r\nKeep-Alive: 5\r\n\
                    proxy-connection: x\r\nte: trailers, gzip\r\nupgrade: h2c\r\nhttp2-settings: x\r\ntracestate: b=1\r\n\r\n";
        assert_eq!(
            passed(sent, "1.2.3.4"),
            "GET / HTTP/1.1\r\nhost: a\r\ntracestate: b=1\r\nforwarded: for=1.2.3.4\r\nx-forwarded-for: 1.2.3.4\r\n\
             te: trailers\r\nconnection: te\r\n\r\n"
        );
        let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert!(passed(upgrade, "1.2.3.4").ends_with("connection: upgrade\r\n\r\n"));
        assert!(passed(upgrade, "1.2.3.4").contains("Upgrade: websocket\r\n"));
        let twice = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(passed(twice, "1.2.3.4").to_lowercase().matches("content-length").count(), 1);
    }

    #[test]
    fn an_answer_says_who_gave_it_and_whether_the_connection_ends() {
        let text = "HTTP/1.0 200 Very OK\r\nX-A: 1\r\nconnection: x-b, close\r\nx-b: 2\r\nX-Lapdev-Served-By: liar\r\n\
                    content-length: 0\r\n\r\n";
        let ending = Ending { close: false, switching: false, unchunked: false, served_by: Some("x-abc234") };
        let expected = "HTTP/1.1 200 Very OK\r\nX-A: 1\r\ncontent-length: 0\r\nx-lapdev-served-by: x-abc234\r\n";
        assert_eq!(answered(text, ending), format!("{expected}\r\n"));
        assert_eq!(answered(text, Ending { close: true, ..ending }), format!("{expected}connection: close\r\n\r\n"));
        assert!(answered(text, Ending { served_by: None, ..ending }).contains("X-Lapdev-Served-By: liar"));
        let both = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n";
        assert!(!answered(both, ending).contains("content-length"));
    }
}
