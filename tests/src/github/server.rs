//! The double's HTTP server: reads a request, lets a fault happen to it if there is one, answers and records.

use super::{
    Shared, api,
    api::Call,
    control,
    fault::Fault,
    git_http::{self, GitCall},
    record::{self, Exchange},
    reply::Reply,
    world::now,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

const LARGEST_REQUEST: usize = 256 << 20;

/// Accepts connections until it is dropped, which ends all of them.
pub(super) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (shared, acceptor) = (shared.clone(), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => connection(stream, shared).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                connection(stream, shared).await;
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(shared.clone(), request));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that hangs up and a fault that cuts a connection are both ordinary here.
    drop(served);
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Answer>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(io::Error::other)?;
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.to_bytes(),
    };
    if let Some(command) = call.path.strip_prefix("/_double/") {
        return Ok(whole(&control::answer(&shared, command, &call.body).await));
    }
    if let Some(git) = GitCall::parse(&call.path, &call.query) {
        return Ok(whole(&git_http::answer(&shared, &git, &call).await));
    }
    let fault = shared.world().faults.take(&call.method, &format!("{}?{}", call.path, call.query));
    let outcome = match &fault {
        None => Ok(whole(&process(&shared, &call).await)),
        Some(fault) => suffer(&shared, &call, fault).await,
    };
    if outcome.is_err() && fault != Some(Fault::Late) {
        record(&shared, &call, None, fault.as_ref());
    }
    outcome
}

/// Does what is asked for, off the async threads because it reads git repositories.
async fn process(shared: &Arc<Shared>, call: &Call) -> Reply {
    let reply = work(shared, call).await;
    record(shared, call, Some(&reply), None);
    reply
}

async fn work(shared: &Arc<Shared>, call: &Call) -> Reply {
    let (worker, asked) = (shared.clone(), call.clone());
    let done = tokio::task::spawn_blocking(move || api::answer(&mut worker.world(), &asked)).await;
    done.unwrap_or_else(|_| Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the double has a bug"))
}

/// Does what is asked for as far as the fault lets it.
async fn suffer(shared: &Arc<Shared>, call: &Call, fault: &Fault) -> io::Result<Response<Answer>> {
    let cut = || io::Error::other("cut on purpose");
    match fault {
        Fault::Slow { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            return Ok(whole(&process(shared, call).await));
        }
        Fault::Hold => {
            shared.hold().await;
            return Ok(whole(&process(shared, call).await));
        }
        Fault::Refuse => return Err(cut()),
        Fault::Late => {
            let (worker, call, released) = (shared.clone(), call.clone(), shared.hold());
            shared.spawn(async move {
                released.await;
                let reply = work(&worker, &call).await;
                record(&worker, &call, Some(&reply), Some(&Fault::Late));
            });
            return Err(cut());
        }
        _ => {}
    }
    let reply = match refusal(fault) {
        Some(reply) => reply,
        None => {
            // A 304 has no body that could be garbled.
            let mut whole = call.clone();
            whole.headers.remove(header::IF_NONE_MATCH);
            spoil(work(shared, &whole).await, fault, call, &shared.world().root)
        }
    };
    let answer = match fault {
        Fault::Deaf => return Err(cut()),
        Fault::CutHead => Answer::broken(&reply.body, 0),
        Fault::CutBody => Answer::broken(&reply.body, reply.body.len() / 2),
        _ => Answer::whole(reply.body.clone()),
    };
    record(shared, call, Some(&reply), Some(fault));
    Ok(response(&reply, answer))
}

/// The answer of a fault that keeps the request from being done.
fn refusal(fault: &Fault) -> Option<Reply> {
    let limited = |message| Reply::error(StatusCode::FORBIDDEN, message);
    match fault {
        Fault::Status { status } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(Reply::error(status, status.canonical_reason().unwrap_or("Error")))
        }
        Fault::PrimaryLimit { reset } => Some(
            limited("API rate limit exceeded for user ID 1.")
                .with(http::HeaderName::from_static("x-ratelimit-remaining"), "0")
                .with(http::HeaderName::from_static("x-ratelimit-reset"), &(now().as_second() + reset).to_string()),
        ),
        Fault::SecondaryLimit { after } => {
            let reply =
                limited("You have exceeded a secondary rate limit. Please wait a few minutes before you try again.");
            Some(match after {
                Some(after) => reply.with(header::RETRY_AFTER, &after.to_string()),
                None => reply,
            })
        }
        _ => None,
    }
}

/// The answer of a fault that garbles it.
fn spoil(mut reply: Reply, fault: &Fault, call: &Call, root: &str) -> Reply {
    let mut items: Vec<Value> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let next = |place: &str| format!("<{place}>; rel=\"next\"");
    match fault {
        Fault::Empty => {
            reply.headers.remove(header::LINK);
            reply.body = "[]".into();
            reply = reply.conditional(&call.headers);
        }
        Fault::Half => {
            reply.headers.remove(header::LINK);
            items.truncate(items.len() / 2);
            reply.body = json!(items).to_string().into();
            reply = reply.conditional(&call.headers);
        }
        Fault::CutJson => reply.body = reply.body.slice(..reply.body.len() / 2),
        Fault::ChangingEtag => {
            let etag = format!("W/\"{}\"", super::random_hex(16));
            // What the client has must not count, since the tag is never the same.
            reply = reply.with(header::ETAG, &etag);
        }
        Fault::SameNext => reply = reply.with(header::LINK, &next(&format!("{root}{}?{}", call.path, call.query))),
        Fault::ForeignNext => reply = reply.with(header::LINK, &next("http://203.0.113.1/repositories/1/pulls?page=2")),
        Fault::Overlap => {
            if let Some(first) = items.first().cloned() {
                items.push(first);
                reply.body = json!(items).to_string().into();
            }
        }
        _ => {}
    }
    reply
}

fn record(shared: &Shared, call: &Call, reply: Option<&Reply>, fault: Option<&Fault>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    shared.record(Exchange {
        method: call.method.to_string(),
        path: call.path.clone(),
        query: call.query.clone(),
        request_headers: record::headers(&call.headers),
        request_body: text(&call.body),
        status: reply.map_or(0, |reply| reply.status.as_u16()),
        response_headers: reply.map(|reply| record::headers(&reply.headers)).unwrap_or_default(),
        response_body: reply.map(|reply| text(&reply.body)).unwrap_or_default(),
        fault: fault.map(|fault| format!("{fault:?}")),
    });
}

fn whole(reply: &Reply) -> Response<Answer> {
    let answer = Answer::whole(reply.body.clone());
    response(reply, answer)
}

fn response(reply: &Reply, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    *response.status_mut() = reply.status;
    response.headers_mut().clone_from(&reply.headers);
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("github.com"));
    response
}

/// A body that may end early, against its announced length.
pub(super) struct Answer {
    length: u64,
    rest: Bytes,
    broken: bool,
    flushed: bool,
}

impl Answer {
    fn whole(body: Bytes) -> Self {
        Self { length: body.len() as u64, rest: body, broken: false, flushed: false }
    }

    fn broken(body: &Bytes, at: usize) -> Self {
        Self { length: body.len() as u64, rest: body.slice(..at), broken: true, flushed: false }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        if !self.broken {
            return Poll::Ready(None);
        }
        // Once pending, so that hyper sends what it has before the connection ends.
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut on purpose"))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.broken
    }

    fn size_hint(&self) -> SizeHint {
        let whole = self.length;
        if self.broken { SizeHint::with_exact(whole) } else { SizeHint::with_exact(self.rest.len() as u64) }
    }
}
