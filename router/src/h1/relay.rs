//! An endpoint's answer on its way to an HTTP/1 client: its head rewritten, its body as it comes, and what both connections
//! are good for afterwards.

use super::{
    body::Reader,
    exchange::Failed,
    framing::{Answer, Body, Request},
    head,
    rewrite::{self, Ending},
};
use crate::{buffer::Buffer, count::Protocol, limits::HEAD_BYTES, routing::Journey, socket, worker::Worker};
use std::{cell::Cell, rc::Rc};
use tokio::net::TcpStream;

/// An answer that got through.
pub(super) struct Relayed {
    /// Whether the endpoint's connection is ready for another request.
    pub(super) reusable: bool,
    /// Whether the client's connection ends.
    pub(super) close: bool,
    /// The connection is something else now; what the endpoint has sent of it.
    pub(super) tunnel: Option<Buffer>,
}

/// What an answer's head said.
struct Begun {
    status: u16,
    tunnel: bool,
    body: Body,
    unchunked: bool,
    /// Whether the client's connection ends with it.
    close: bool,
    endpoint_closes: bool,
}

/// What an answer passes through.
pub(super) struct Relay<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: &'a TcpStream,
    pub(super) endpoint: &'a TcpStream,
    pub(super) is: &'a Request,
    pub(super) one_one: bool,
    pub(super) journey: &'a mut Journey,
    /// Whether the endpoint has got all of the request and both may send more: only then another one may follow. Whether the
    /// client has got something of the answer.
    pub(super) state: (&'a Cell<bool>, &'a Cell<bool>),
}

impl Relay<'_> {
    /// Relays interim answers and the answer itself.
    pub(super) async fn run(mut self) -> Result<Relayed, Failed> {
        let (mut input, mut out) = (Buffer::default(), Buffer::default());
        loop {
            let end = self.receive(&mut input).await?;
            let Begun { status, tunnel, body, unchunked, close, endpoint_closes } =
                self.begin(&mut input, end, &mut out)?;
            if status < 200 && !tunnel {
                self.write(&mut out).await?;
                continue;
            }
            self.count(status, tunnel);
            let (in_step, begun) = self.state;
            begun.set(true);
            if tunnel {
                self.write(&mut out).await?;
                return Ok(Relayed { reusable: false, close: true, tunnel: Some(input) });
            }
            self.body(&mut input, &mut out, Reader::new(body, !unchunked)).await?;
            // What was asked as HTTP/1.0 may be closed without a word, whatever version the answer names.
            let reusable = in_step.get() && self.one_one && !endpoint_closes && input.is_empty();
            return Ok(Relayed { reusable, close: close || !in_step.get(), tunnel: None });
        }
    }

    /// Reads an answer's head, and writes it for the client.
    fn begin(&self, input: &mut Buffer, end: usize, out: &mut Buffer) -> Result<Begun, Failed> {
        let bytes = &input.bytes()[..end];
        let head = head::answer(bytes).map_err(|_| Failed::Broken(NOT_HTTP))?;
        let interim = head.status < 200 && head.status != 101;
        let tunnel = head.status == 101 || (self.is.connect && (200..300).contains(&head.status));
        if tunnel && !(self.is.tunnel && self.is.connect == (head.status != 101)) {
            return Err(Failed::Broken("changed the protocol without being asked to"));
        }
        let answer = Answer::of(&head, bytes, self.is).map_err(|_| Failed::Broken(NOT_HTTP))?;
        let body = if tunnel { Body::None } else { answer.body };
        let close = !interim && !tunnel && (self.is.close || body == Body::UntilClose || self.worker.is_closing());
        let unchunked = body == Body::Chunked && !self.one_one;
        let served_by = self.journey.route.served_by().filter(|_| !interim);
        let ending = Ending { close, switching: head.status == 101, unchunked, served_by };
        if !interim || self.one_one {
            rewrite::answer(out, &head, bytes, &answer, ending);
        }
        input.consume(end);
        Ok(Begun { status: head.status, tunnel, body, unchunked, close, endpoint_closes: answer.close })
    }

    fn count(&mut self, status: u16, tunnel: bool) {
        self.journey.answered(status);
        let protocol = if tunnel { Protocol::Upgrade } else { Protocol::Http1 };
        self.worker.shared.metrics.answered(protocol, Some(status));
    }

    /// Waits for a whole head; its length.
    async fn receive(&self, input: &mut Buffer) -> Result<usize, Failed> {
        let mut seen = 0;
        loop {
            if let Some(end) = head::end(input.bytes(), seen) {
                return Ok(end);
            }
            if input.len() > HEAD_BYTES {
                return Err(Failed::Broken("answered with header fields that are too large"));
            }
            seen = input.len().saturating_sub(2);
            match socket::fill(self.endpoint, input).await {
                Ok(count) if count > 0 => {}
                _ if input.is_empty() => return Err(Failed::Silent),
                _ => return Err(Failed::Broken(NOT_HTTP)),
            }
        }
    }

    async fn body(&self, input: &mut Buffer, out: &mut Buffer, mut body: Reader) -> Result<(), Failed> {
        loop {
            body.read(input, out).map_err(|_| Failed::Cut)?;
            let more = !out.is_empty();
            self.write(out).await?;
            if body.done() {
                return Ok(());
            }
            if more && !input.is_empty() {
                continue;
            }
            match socket::fill(self.endpoint, input).await {
                Ok(0) if body.ends_with_close() => return Ok(()),
                Ok(count) if count > 0 => {}
                _ => return Err(Failed::Cut),
            }
            let plain = body.plain(input.len());
            if plain > 0 {
                socket::write(self.client, &input.bytes()[..plain]).await.map_err(|_| Failed::Client)?;
                input.consume(plain);
                body.passed(plain);
                if body.done() {
                    return Ok(());
                }
            }
        }
    }

    async fn write(&self, out: &mut Buffer) -> Result<(), Failed> {
        socket::write(self.client, out.bytes()).await.map_err(|_| Failed::Client)?;
        out.clear();
        Ok(())
    }
}

const NOT_HTTP: &str = "answered with what is no HTTP";
