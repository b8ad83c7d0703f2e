//! Kept connections, one for each (protocol, address). A request is sent anew only when the other end cannot have begun
//! with it, as every client library does; anything else that goes wrong is the answer.

use super::{
    message::{Protocol, Question, Reply, What},
    socket,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body, Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

/// For one request, holding by the router included.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// A request that nobody begins with is not offered for ever.
const OFFERS: u32 = 5;
/// Messages of one stream.
const CHAT: usize = 5;

type Outgoing = UnsyncBoxBody<Bytes, Infallible>;

/// The connections of one task.
#[derive(Default)]
pub(super) struct Connections {
    lines: BTreeMap<(Protocol, String), Line>,
    opened: u32,
}

/// One connection.
#[derive(Debug)]
enum Line {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

impl Connections {
    /// Asks, on the kept connection where it still is one.
    pub(super) async fn ask(&mut self, question: &Question) -> Reply {
        if question.what == What::Socket {
            return socket::ask(question).await;
        }
        let (mut again, before) = (0, self.opened);
        loop {
            let asked = async {
                let line = self.line(question).await?;
                exchange(line, question).await
            };
            let error = match timeout(LIMIT, asked).await {
                Ok(Ok(reply)) => return Reply { again, connections: self.opened - before, ..reply },
                Ok(Err(error)) => error,
                Err(_) => format!("no answer within {LIMIT:?}").into(),
            };
            self.lines.remove(&(question.protocol, question.to.clone()));
            if again == OFFERS || !was_not_begun(error.as_ref()) {
                let says = chained(error.as_ref());
                let connections = self.opened - before;
                return Reply { status: 0, grpc_status: None, served_by: None, says, again, connections };
            }
            again += 1;
        }
    }

    async fn line(&mut self, question: &Question) -> Result<&mut Line, Box<dyn Error + Send + Sync>> {
        let key = (question.protocol, question.to.clone());
        // A connection that ended meanwhile, after its last answer, is replaced.
        let usable = match self.lines.get_mut(&key) {
            Some(Line::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Line::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.lines.insert(key.clone(), connect(question).await?);
            self.opened += 1;
        }
        Ok(self.lines.get_mut(&key).ok_or("it was just put there")?)
    }
}

async fn connect(question: &Question) -> Result<Line, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(&question.to).await?;
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(stream);
    // The tasks end with their connections, and those with the senders.
    match question.protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(stream).await?;
            drop(tokio::spawn(connection));
            Ok(Line::Http1(sender))
        }
        Protocol::Http2 | Protocol::Grpc => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (sender, connection) = builder.timer(TokioTimer::new()).handshake(stream).await?;
            drop(tokio::spawn(connection));
            Ok(Line::Http2(sender))
        }
    }
}

async fn exchange(line: &mut Line, question: &Question) -> Result<Reply, Box<dyn Error + Send + Sync>> {
    if question.what == What::Chat {
        return chat(line, question).await;
    }
    let body = if question.protocol == Protocol::Grpc { framed(b"{}") } else { Bytes::new() };
    let response = line.send(request(question, Full::new(body).boxed_unsync())?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let bytes = body.to_bytes();
    let message = if question.protocol == Protocol::Grpc { bytes.get(5..).unwrap_or_default() } else { &bytes };
    let says = serde_json::from_slice(message).unwrap_or_else(|_| String::from_utf8_lossy(message).into());
    Ok(reply(head.status.as_u16(), &head.headers, &trailers, says))
}

/// Sends some messages, each after the answer to the one before.
async fn chat(line: &mut Line, question: &Question) -> Result<Reply, Box<dyn Error + Send + Sync>> {
    let (say, said) = mpsc::channel(1);
    let response = line.send(request(question, Said(said).boxed_unsync())?);
    say.send(framed(b"0")).await?;
    let (head, mut body) = response.await?.into_parts();
    let (mut heard, mut read, mut trailers) = (Vec::<Value>::new(), BytesMut::new(), HeaderMap::new());
    let mut say = Some(say);
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => read.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
        while let Some(message) = take_message(&mut read) {
            heard.push(serde_json::from_slice(&message)?);
            match heard.len() {
                CHAT => drop(say.take()),
                number => {
                    let say = say.as_ref().ok_or("more answers than messages")?;
                    say.send(framed(number.to_string().as_bytes())).await?;
                }
            }
        }
    }
    let orderly = heard.iter().enumerate().all(|(number, says)| says["heard"].as_str() == Some(&number.to_string()));
    if heard.len() != CHAT || !orderly || heard.iter().any(|says| says["version"] != heard[0]["version"]) {
        return Err(format!("a stream of {CHAT} messages was answered with {heard:?}, {trailers:?}").into());
    }
    Ok(reply(head.status.as_u16(), &head.headers, &trailers, heard.swap_remove(0)))
}

pub(super) fn reply(status: u16, head: &HeaderMap, trailers: &HeaderMap, says: Value) -> Reply {
    let text = |map: &HeaderMap, name: &str| map.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let grpc_status = text(trailers, "grpc-status").or_else(|| text(head, "grpc-status"));
    let served_by = text(head, lapdev_api::route::SERVED_BY);
    Reply { status, grpc_status, served_by, says, again: 0, connections: 0 }
}

fn request(question: &Question, body: Outgoing) -> Result<Request<Outgoing>, http::Error> {
    let path = question.what.path(question.protocol);
    let mut request = match question.protocol {
        Protocol::Http1 => Request::get(path).header("host", &question.to),
        Protocol::Http2 => Request::get(format!("http://{}{path}", question.to)),
        Protocol::Grpc => {
            let request = Request::builder().method(Method::POST).uri(format!("http://{}{path}", question.to));
            request.header("content-type", "application/grpc+json").header("te", "trailers")
        }
    };
    for (name, value) in &question.headers {
        request = request.header(name, value);
    }
    request.body(body)
}

impl Line {
    async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

/// Whether the other end said, or cannot but have it so, that it did nothing about the request: it was never written, its
/// stream was refused, or lies behind the last one that a GOAWAY names (RFC 9113, 8.7).
fn was_not_begun(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |cause| (*cause).source()).any(|cause| {
        let unsent = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        let refused = cause.downcast_ref::<h2::Error>().is_some_and(|error| {
            let away = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
            away || error.reason() == Some(h2::Reason::REFUSED_STREAM)
        });
        unsent || refused
    })
}

pub(super) fn chained(error: &(dyn Error + Send + Sync + 'static)) -> Value {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    json!({"error": causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))})
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

fn take_message(read: &mut BytesMut) -> Option<Bytes> {
    let length =
        read.get(1..5).map(|prefix| u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize)?;
    (read.len() >= 5 + length).then(|| read.split_to(5 + length).freeze().slice(5..))
}

/// A body that is said bit by bit.
struct Said(mpsc::Receiver<Bytes>);

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|said| said.map(|bytes| Ok(Frame::data(bytes))))
    }
}
