//! One request and its answer on an HTTP/1 connection: received, routed, sent, answered, in this order. The answer is
//! relayed while the request's body still arrives, so that either side may be slow, large, or early.

#[cfg(test)]
mod tests;

use super::{
    body::{BadBody, Reader},
    framing::Request,
    head::{self, BadHead, Kind, RequestHead},
    relay::{Relay, Relayed},
    rewrite,
};
use crate::{
    balance::Lease,
    buffer::Buffer,
    connection::Client,
    count::Protocol,
    limits::{BODY_TIME, HEAD_BYTES, HEAD_TIME},
    probe::Seen,
    reply::{RETRY_AFTER, Reply},
    routing::{Asked, Journey},
    socket::{self, Gone},
    table::Endpoint,
    worker::Worker,
};
use lapdev_api::{
    key::EnvironmentKey,
    route::{ERROR, SERVED_BY},
    trace_context::{key_in_baggage, key_in_tracestate},
};
use std::{cell::Cell, io, pin::pin, rc::Rc, sync::Arc};
use tokio::{net::TcpStream, time::Instant};

/// Sends of one request, each on a connection of its own, at most.
const SENDS: u32 = 3;

/// What becomes of the client's connection.
pub enum After {
    /// It may carry another request.
    Kept,
    /// It ends.
    Closed,
    /// It ends so that the client cannot take what it has for a whole answer.
    Reset,
    /// It is something else now, joined to the endpoint.
    Tunnel(Lease, TcpStream, Option<Buffer>),
}

/// Why there is no request.
enum NoRequest {
    Gone,
    Refused(Reply),
}

/// Why an answer did not get through.
pub(super) enum Failed {
    /// The endpoint closed before the first byte of an answer.
    Silent,
    /// Nothing of the request could be written.
    Unsent,
    /// What it answered is no HTTP.
    Broken(&'static str),
    /// The answer had begun, and broke off.
    Cut,
    /// The request's body is not valid.
    Body(BadBody),
    /// The request's body did not arrive in time.
    Slow,
    /// The client ended its half, and the endpoint ended the rest without an answer.
    Ended,
    /// The client is gone.
    Client,
}

/// A request whose head was received. In a box, since it is large and lives shortly.
struct Received {
    head: RequestHead,
    is: Request,
    /// The head's length.
    end: usize,
}

/// Serves one request; `input` holds its beginning and is left with what follows it.
pub async fn one(worker: &Rc<Worker>, client: &Client, input: &mut Buffer) -> After {
    let received = match receive(client, input).await {
        Ok(received) => received,
        Err(NoRequest::Gone) => return After::Closed,
        Err(NoRequest::Refused(reply)) => {
            worker.shared.metrics.answered(Protocol::Http1, Some(reply.status));
            Box::pin(answer_ourselves(client, &reply, None, true, false)).await;
            return After::Closed;
        }
    };
    let (asked, journey, request, exchange) = prepare(worker, client, input, &received);
    drop(received);
    exchange.run(&asked, journey, input, request).await
}

/// Routes a request, and writes its head for the endpoint; takes it out of `input`.
fn prepare<'a>(
    worker: &'a Rc<Worker>,
    client: &'a Client,
    input: &mut Buffer,
    received: &Received,
) -> (Asked<'a>, Journey, Buffer, Exchange<'a>) {
    let Received { head, is, end } = received;
    let bytes = &input.bytes()[..*end];
    let (state, baggage) = (in_tracestate(head, bytes), in_baggage(head, bytes));
    let asked = Asked { target: &client.target, key: state.clone().or_else(|| baggage.clone()), client: client.ip };
    let mut journey = Journey::begin(worker, &asked);
    journey.note(worker, &asked, || {
        let path = head.target.of(bytes).split(|byte| *byte == b'?').next().unwrap_or_default();
        let request = [head.method.of(bytes), b" ", path].concat();
        let mut traceparents = head.fields.values(bytes, Kind::Traceparent);
        let traceparent = traceparents.next().filter(|_| traceparents.next().is_none());
        let seen = Seen { traceparent, tracestate: state.as_ref(), baggage: baggage.as_ref() };
        (seen, String::from_utf8_lossy(&request).into_owned())
    });
    let mut request = Buffer::default();
    rewrite::request(&mut request, head, bytes, is, &client.address);
    input.consume(*end);
    let exchange = Exchange { worker, client, is: *is, one_one: head.one_one, body: Reader::new(is.body, true) };
    (asked, journey, request, exchange)
}

async fn receive(client: &Client, input: &mut Buffer) -> Result<Box<Received>, NoRequest> {
    let (mut seen, mut deadline) = (0, None);
    // A line before the request line is skipped (RFC 9112 §2.2).
    let end = loop {
        if seen == 0 && input.bytes().starts_with(b"\r\n") {
            input.consume(2);
        }
        if let Some(end) = head::end(input.bytes(), seen) {
            break end;
        }
        if input.len() > HEAD_BYTES {
            return Err(refused(BadHead::TooLarge));
        }
        seen = input.len().saturating_sub(2);
        let until = *deadline.get_or_insert_with(|| Instant::now() + HEAD_TIME);
        match socket::fill_until(&client.stream, input, until).await {
            Ok(count) if count > 0 => {}
            Err(why) if why.kind() == io::ErrorKind::TimedOut && !input.is_empty() => {
                return Err(NoRequest::Refused(Reply::slow()));
            }
            _ => return Err(NoRequest::Gone),
        }
    };
    let bytes = &input.bytes()[..end];
    let head = head::request(bytes).map_err(refused)?;
    let is = Request::of(&head, bytes).map_err(refused)?;
    Ok(Box::new(Received { head, is, end }))
}

fn refused(why: BadHead) -> NoRequest {
    NoRequest::Refused(Reply::bad_head(why))
}

fn in_tracestate(head: &RequestHead, bytes: &[u8]) -> Option<EnvironmentKey> {
    key_in_tracestate(head.fields.values(bytes, Kind::Tracestate))
}

fn in_baggage(head: &RequestHead, bytes: &[u8]) -> Option<EnvironmentKey> {
    key_in_baggage(head.fields.values(bytes, Kind::Baggage))
}

struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Client,
    is: Request,
    one_one: bool,
    body: Reader,
}

impl Exchange<'_> {
    /// `request` holds the head for the endpoint.
    async fn run(mut self, asked: &Asked<'_>, mut journey: Journey, input: &mut Buffer, mut request: Buffer) -> After {
        if let Err(why) = self.body.read(input, &mut request) {
            return Box::pin(self.refuse(journey, &Reply::illegal(&why.to_string()))).await;
        }
        // The answer may take minutes: nothing is held for what the client may send until then.
        input.rest();
        for sends in 1.. {
            let (worker, is) = (self.worker, self.is);
            let dial = async |endpoint: &Arc<Endpoint>| dial(worker, endpoint, &is, sends > 1).await;
            let connected = tokio::select! {
                biased;
                connected = journey.connect(worker, asked, dial) => connected,
                () = socket::broken(&self.client.stream) => return self.gone(After::Reset),
            };
            let (lease, (endpoint, kept)) = match connected {
                Ok(connected) => connected,
                Err(why) => {
                    let reply = Reply::unavailable(&journey.route, why);
                    return Box::pin(self.refuse(journey, &reply)).await;
                }
            };
            let why = match self.send(&endpoint, input, &mut request, &mut journey).await {
                Ok(relayed) => return self.end(relayed, lease, endpoint),
                Err(why) => why,
            };
            let again = match why {
                Failed::Unsent => true,
                // It closed an idle connection just when we used it: not one byte of an answer, and nothing changed twice.
                Failed::Silent => kept && self.is.repeatable,
                _ => false,
            };
            if !again || sends >= SENDS {
                return Box::pin(self.fail(why, journey)).await;
            }
            self.worker.shared.metrics.retries.inc();
        }
        unreachable!("the loop ends by itself")
    }

    /// Sends the request and relays its answer.
    async fn send(
        &mut self,
        endpoint: &TcpStream,
        input: &mut Buffer,
        request: &mut Buffer,
        journey: &mut Journey,
    ) -> Result<Relayed, Failed> {
        let written = match socket::write(endpoint, request.bytes()).await {
            Ok(()) => true,
            Err((_, 0)) => return Err(Failed::Unsent),
            // It may have answered already, and wants no more: 413, for one.
            Err(_) => false,
        };
        let mut uploading = written && !self.body.done();
        if uploading {
            // It serves for the rest of the body. Of a request without one it is kept: it may have to be sent again.
            request.clear();
        }
        let Self { worker, client, is, one_one, body } = self;
        let (in_step, begun, ahead) =
            (Cell::new(written && body.done()), Cell::new(false), Cell::new(!input.is_empty()));
        let (one_one, state) = (*one_one, (&in_step, &begun));
        let relay = Relay { worker, client: &client.stream, endpoint, is, one_one, journey, state };
        let mut relay = pin!(relay.run());
        let mut upload = pin!(async {
            let done = upload(&client.stream, endpoint, input, request, body).await;
            ahead.set(!input.is_empty());
            done
        });
        let mut gone = pin!(socket::gone(&client.stream, true));
        let (mut ended, mut told) = (false, false);
        loop {
            tokio::select! {
                biased;
                relayed = &mut relay => return match relayed {
                    Err(Failed::Silent) if told => Err(Failed::Ended),
                    relayed => relayed,
                },
                done = &mut upload, if uploading => {
                    uploading = false;
                    // What was begun cannot be replaced by an answer of ours.
                    in_step.set(done.map_err(|why| if begun.get() { Failed::Cut } else { why })?);
                }
                how = &mut gone => match how {
                    Gone::Broken => return Err(Failed::Client),
                    Gone::Ended => {
                        ended = true;
                        gone.set(socket::gone(&client.stream, false));
                    }
                },
            }
            // A client that ended its half may still want its answer, or have given up: the endpoint decides, as it would
            // without us. It learns of it only behind the last request that was sent.
            if ended && in_step.get() && !ahead.get() && matches!(socket::peek(&client.stream), Ok(0)) {
                socket::shut(endpoint);
                in_step.set(false);
                told = true;
            }
        }
    }

    fn end(&self, relayed: Relayed, lease: Lease, endpoint: TcpStream) -> After {
        if let Some(answered) = relayed.tunnel {
            return After::Tunnel(lease, endpoint, Some(answered).filter(|answered| !answered.is_empty()));
        }
        if relayed.reusable {
            self.worker.idle.borrow_mut().put(lease.endpoint(), endpoint);
        }
        if relayed.close { After::Closed } else { After::Kept }
    }

    async fn fail(&self, why: Failed, journey: Journey) -> After {
        let reply = match why {
            Failed::Silent | Failed::Unsent => {
                Reply::broken(&journey.route, "closed the connection before it answered")
            }
            Failed::Broken(why) => Reply::broken(&journey.route, why),
            Failed::Body(why) => Reply::illegal(&why.to_string()),
            Failed::Slow => Reply::slow(),
            Failed::Client => return self.gone(After::Reset),
            Failed::Ended => return self.gone(After::Closed),
            Failed::Cut => return After::Reset,
        };
        self.refuse(journey, &reply).await
    }

    fn gone(&self, after: After) -> After {
        self.worker.shared.metrics.answered(Protocol::Http1, None);
        after
    }

    async fn refuse(&self, mut journey: Journey, reply: &Reply) -> After {
        journey.answered(reply.status);
        self.worker.shared.metrics.answered(Protocol::Http1, Some(reply.status));
        let close = self.is.close || !self.body.done() || self.worker.is_closing();
        let head = self.is.head;
        let written = Box::pin(answer_ourselves(self.client, reply, journey.route.served_by(), close, head)).await;
        if close || !written { After::Closed } else { After::Kept }
    }
}

async fn dial(worker: &Worker, endpoint: &Arc<Endpoint>, is: &Request, new: bool) -> io::Result<(TcpStream, bool)> {
    let kept = if new { None } else { worker.idle.borrow_mut().take(endpoint, is.repeatable) };
    if let Some(kept) = kept {
        return Ok((kept, true));
    }
    // In a box: it is rare, and every request would hold room for it.
    let connected = Box::pin(socket::connect(endpoint.address)).await?;
    worker.shared.metrics.dialled.inc();
    Ok((connected, false))
}

/// Sends what is left of the request's body. Whether the endpoint took all of it.
async fn upload(
    client: &TcpStream,
    endpoint: &TcpStream,
    input: &mut Buffer,
    out: &mut Buffer,
    body: &mut Reader,
) -> Result<bool, Failed> {
    while !body.done() {
        let plain = body.plain(input.len());
        let sent = if plain > 0 {
            let sent = socket::write(endpoint, &input.bytes()[..plain]).await;
            input.consume(plain);
            body.passed(plain);
            sent
        } else {
            body.read(input, out).map_err(Failed::Body)?;
            let sent = socket::write(endpoint, out.bytes()).await;
            if out.is_empty() && !body.done() {
                match socket::fill_until(client, input, Instant::now() + BODY_TIME).await {
                    Ok(count) if count > 0 => {}
                    Err(why) if why.kind() == io::ErrorKind::TimedOut => return Err(Failed::Slow),
                    _ => return Err(Failed::Client),
                }
            }
            out.clear();
            sent
        };
        if sent.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it could be written.
async fn answer_ourselves(client: &Client, reply: &Reply, served_by: Option<&str>, close: bool, head: bool) -> bool {
    let mut text = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n{ERROR}: {}\r\n",
        reply.status,
        reply.reason,
        reply.text.len(),
        reply.word
    );
    if reply.retry {
        text += &format!("retry-after: {RETRY_AFTER}\r\n");
    }
    if let Some(version) = served_by {
        text += &format!("{SERVED_BY}: {version}\r\n");
    }
    text += if close { "connection: close\r\n\r\n" } else { "\r\n" };
    if !head {
        text += &reply.text;
    }
    socket::write(&client.stream, text.as_bytes()).await.is_ok()
}
