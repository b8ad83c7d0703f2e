//! One HTTP/2 stream: a request, its routing and its answer, each way at the pace of its receiver.

use super::{
    Resets,
    body::{Broken, Keep, Source, pump},
    upstreams::Share,
    window::{Part, Window},
};
use crate::{
    balance::Lease,
    count::Protocol,
    probe::Seen,
    reply::{RETRY_AFTER, Reply},
    routing::{Asked, Journey, Label},
    table::{Endpoint, RoutedTarget},
    worker::Worker,
};
use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{ResponseFuture, SendRequest},
    server::SendResponse,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version,
    header::{CONTENT_TYPE, FORWARDED, RETRY_AFTER as RETRY_AFTER_NAME},
    request::Parts,
};
use lapdev_api::{
    key::{BASELINE, EnvironmentKey},
    route::{ERROR, SERVED_BY},
    trace_context::{key_in_baggage, key_in_tracestate},
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const SERVED_BY_NAME: HeaderName = HeaderName::from_static(SERVED_BY);
const ERROR_NAME: HeaderName = HeaderName::from_static(ERROR);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// gRPC's UNAVAILABLE: a caller may try again.
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");
/// Endpoints that a request is sent to, if each says that it did not look at it.
const SENDS: u32 = 3;

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Caller {
    /// Its address.
    pub ip: IpAddr,
    /// The same, as `forwarded` has it.
    pub element: HeaderValue,
    /// And as `x-forwarded-for` has it.
    pub plain: HeaderValue,
    /// What the port stood for when it was accepted.
    pub target: Arc<RoutedTarget>,
    /// Streams that it gave up.
    pub resets: Resets,
    /// What it may have under way.
    pub window: Rc<Window>,
}

/// How an exchange ended without an answer of the endpoint.
#[derive(Clone, Copy)]
enum Failed {
    /// The endpoint says that it did not look at the request.
    Unprocessed,
    /// The request is none that could be sent on.
    Form,
    /// The endpoint broke off.
    Endpoint(Reason),
    /// The client gave up.
    Client,
    /// The client gave up after the answer had begun.
    Later,
}

/// Serves one stream.
pub async fn serve(worker: Rc<Worker>, caller: Rc<Caller>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (parts, body) = request.into_parts();
    let grpc = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let (state, baggage) = keys(&parts.headers);
    let asked = Asked { target: &caller.target, key: state.clone().or_else(|| baggage.clone()), client: caller.ip };
    let mut journey = Journey::begin(&worker, &asked);
    journey.note(&worker, &asked, || {
        let mut traceparents = parts.headers.get_all("traceparent").iter();
        let traceparent = traceparents.next().filter(|_| traceparents.next().is_none()).map(HeaderValue::as_bytes);
        let seen = Seen { traceparent, tracestate: state.as_ref(), baggage: baggage.as_ref() };
        (seen, format!("{} {}", parts.method, parts.uri.path()))
    });
    let protocol = if grpc { Protocol::Grpc } else { Protocol::Http2 };
    let source = Source::of_request(body, Part::new(&caller.window));
    let exchange = Exchange { worker: &worker, caller: &caller, protocol, journey, respond };
    exchange.run(&asked, parts, source).await;
}

async fn dial(worker: &Worker, endpoint: &Arc<Endpoint>) -> io::Result<(SendRequest<Bytes>, Share)> {
    worker
        .upstreams
        .dial(endpoint, || {
            worker.shared.metrics.dialled.inc();
        })
        .await
}

/// The key in `tracestate`, and where there is none the one in `baggage`.
fn keys(headers: &HeaderMap) -> (Option<EnvironmentKey>, Option<EnvironmentKey>) {
    let lines = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    (key_in_tracestate(lines("tracestate")), key_in_baggage(lines("baggage")))
}

struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    caller: &'a Caller,
    protocol: Protocol,
    journey: Journey,
    respond: SendResponse<Bytes>,
}

impl Exchange<'_> {
    async fn run(mut self, asked: &Asked<'_>, mut parts: Parts, mut source: Source) {
        append(&mut parts.headers, FORWARDED, &self.caller.element);
        append(&mut parts.headers, FORWARDED_FOR, &self.caller.plain);
        // The library takes an authority that only `host` names for a request of HTTP/1, and passes it on as it was.
        if parts.uri.scheme().is_none() && parts.method != Method::CONNECT {
            parts.version = Version::HTTP_11;
        }
        for sends in 1.. {
            let connected = source.while_waiting(self.connect(asked)).await;
            let Some((lease, (requests, share))) = connected else { return };
            match self.send(requests, &share, parts.clone(), &mut source).await {
                Ok(()) => return drop((lease, share)),
                Err(Failed::Later) => return self.caller.resets.count(),
                Err(Failed::Unprocessed) if sends < SENDS && source.rewind() => {
                    self.worker.shared.metrics.retries.inc()
                }
                Err(why) => return self.fail(why),
            };
        }
    }

    /// Connects, unless the client gives up before; answers where it cannot.
    async fn connect(&mut self, asked: &Asked<'_>) -> Option<(Lease, (SendRequest<Bytes>, Share))> {
        let Self { worker, journey, respond, .. } = self;
        let connected = tokio::select! {
            biased;
            connected = journey.connect(worker, asked, async |endpoint| dial(worker, endpoint).await) => connected,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => {
                self.fail(Failed::Client);
                return None;
            }
        };
        match connected {
            Ok(connected) => Some(connected),
            Err(why) => {
                let reply = Reply::unavailable(&self.journey.route, why);
                self.refuse(&reply);
                None
            }
        }
    }

    /// Sends the request and relays its answer, while its body still arrives.
    async fn send(
        &mut self,
        mut requests: SendRequest<Bytes>,
        share: &Share,
        parts: Parts,
        source: &mut Source,
    ) -> Result<(), Failed> {
        let over = source.is_over();
        let sent = requests.send_request(Request::from_parts(parts, ()), over);
        let (answer, mut to) = match sent {
            Ok(sent) => sent,
            // Only the connection itself can say that it is dead: the request may be to blame, and others are on it.
            Err(_) if poll_fn(|cx| Poll::Ready(matches!(requests.poll_ready(cx), Poll::Ready(Err(_))))).await => {
                share.is_dead();
                return Err(Failed::Unprocessed);
            }
            Err(_) => return Err(Failed::Form),
        };
        drop(requests);
        let (mut uploading, keep) = (!over, source.keep());
        let mut upload = pin!(pump(source, &mut to));
        let answered = Cell::new(false);
        let mut relay = pin!(self.relay(answer, share, &keep, &answered));
        loop {
            tokio::select! {
                biased;
                done = &mut relay => return done,
                done = &mut upload, if uploading => {
                    uploading = false;
                    match done {
                        Err(Broken::Sender(_) | Broken::Still) if answered.get() => return Err(Failed::Later),
                        Err(Broken::Sender(_)) => return Err(Failed::Client),
                        Err(Broken::Still) => return Err(Failed::Endpoint(Reason::CANCEL)),
                        Err(Broken::Receiver) | Ok(_) => {}
                    }
                }
            }
        }
    }

    async fn relay(
        &mut self,
        answer: ResponseFuture,
        share: &Share,
        keep: &Keep,
        has_answered: &Cell<bool>,
    ) -> Result<(), Failed> {
        let answered = answer_of(answer, &mut self.respond).await.map_err(|why| unprocessed(why, share))?;
        keep.end();
        has_answered.set(true);
        let (mut parts, from) = answered.into_parts();
        let status = parts.status.as_u16();
        if self.journey.route.says_who {
            parts.headers.insert(SERVED_BY_NAME, label(&self.journey.route.version));
        }
        self.journey.answered(status);
        self.worker.shared.metrics.answered(self.protocol, Some(status));
        self.grpc(&parts.headers);
        let over = from.is_end_stream();
        let sent = self.respond.send_response(Response::from_parts(parts, ()), over);
        let mut back = sent.map_err(|_| Failed::Later)?;
        if over {
            return Ok(());
        }
        match pump(&mut Source::of_answer(from), &mut back).await {
            Ok(trailers) => trailers.iter().for_each(|trailers| self.grpc(trailers)),
            Err(Broken::Sender(reason)) => back.send_reset(reason),
            Err(Broken::Receiver | Broken::Still) => return Err(Failed::Later),
        }
        Ok(())
    }

    /// An answer's gRPC status, in its head or at its end.
    fn grpc(&mut self, headers: &HeaderMap) {
        let status = headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(status) = status {
            self.journey.grpc(status);
        }
    }

    fn fail(&mut self, why: Failed) {
        match why {
            Failed::Client | Failed::Later => {
                self.caller.resets.count();
                self.worker.shared.metrics.answered(self.protocol, None);
            }
            Failed::Unprocessed => {
                let reply = Reply::broken(&self.journey.route, "takes no more requests");
                self.refuse(&reply);
            }
            Failed::Form => self.refuse(&Reply::illegal("the request has no form in which HTTP/2 could pass it on")),
            Failed::Endpoint(reason) => {
                let why = format!("closed the connection or stream before it answered ({reason})");
                let reply = Reply::broken(&self.journey.route, &why);
                self.refuse(&reply);
            }
        }
    }

    /// Answers in the endpoint's place; a gRPC caller in its own way.
    fn refuse(&mut self, reply: &Reply) {
        let grpc = self.protocol == Protocol::Grpc;
        self.journey.answered(reply.status);
        self.worker.shared.metrics.answered(self.protocol, Some(reply.status));
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(ERROR_NAME, HeaderValue::from_static(reply.word));
        if self.journey.route.says_who {
            headers.insert(SERVED_BY_NAME, label(&self.journey.route.version));
        }
        if grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(GRPC_STATUS, UNAVAILABLE);
            if let Ok(message) = HeaderValue::from_str(reply.text.trim_end()) {
                headers.insert(GRPC_MESSAGE, message);
            }
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            if reply.retry {
                headers.insert(RETRY_AFTER_NAME, HeaderValue::from_static(RETRY_AFTER));
            }
            *response.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
        }
        // Where the client is gone nobody is left to tell.
        if let Ok(mut body) = self.respond.send_response(response, grpc)
            && !grpc
        {
            let _ = body.send_data(Bytes::copy_from_slice(reply.text.as_bytes()), true);
        }
    }
}

fn label(version: &Label) -> HeaderValue {
    match version.as_str() {
        BASELINE => HeaderValue::from_static(BASELINE),
        key => HeaderValue::from_str(key).unwrap_or(HeaderValue::from_static(BASELINE)),
    }
}

/// Appends a member to a list that may have several lines.
fn append(headers: &mut HeaderMap, name: HeaderName, member: &HeaderValue) {
    let lines = headers.get_all(&name).iter().map(HeaderValue::as_bytes).filter(|line| !line.is_empty());
    let mut list: Vec<&[u8]> = lines.collect();
    let joined = if list.is_empty() {
        Some(member.clone())
    } else {
        list.push(member.as_bytes());
        // Of legal values a legal one is made.
        HeaderValue::from_bytes(&list.join(&b", "[..])).ok()
    };
    if let Some(joined) = joined {
        headers.insert(name, joined);
    }
}

enum NoAnswer {
    Endpoint(h2::Error),
    Client,
}

fn unprocessed(why: NoAnswer, share: &Share) -> Failed {
    let NoAnswer::Endpoint(why) = why else { return Failed::Client };
    let refused = why.is_remote() && why.is_reset() && why.reason() == Some(Reason::REFUSED_STREAM);
    let leaving = why.is_remote() && why.is_go_away() && why.reason() == Some(Reason::NO_ERROR);
    if leaving {
        share.is_dead();
    }
    if refused || leaving { Failed::Unprocessed } else { Failed::Endpoint(why.reason().unwrap_or(Reason::CANCEL)) }
}

/// Waits for the answer, and passes on those before it (100, 103).
async fn answer_of(
    mut answer: ResponseFuture,
    respond: &mut SendResponse<Bytes>,
) -> Result<Response<RecvStream>, NoAnswer> {
    poll_fn(|cx| {
        while let Poll::Ready(Some(interim)) = answer.poll_informational(cx) {
            match interim {
                Ok(interim) => respond.send_informational(interim).map_err(|_| NoAnswer::Client)?,
                Err(why) => return Poll::Ready(Err(NoAnswer::Endpoint(why))),
            }
        }
        if let Poll::Ready(answered) = Pin::new(&mut answer).poll(cx) {
            return Poll::Ready(answered.map_err(NoAnswer::Endpoint));
        }
        match respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(Err(NoAnswer::Client)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
