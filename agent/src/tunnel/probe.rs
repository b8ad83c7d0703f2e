//! `POST /trace`, and the probe's own requests: GETs with a trace context of their own, each on a connection of its own.

use super::session::{Session, failure, json};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lapdev_api::{key::EnvironmentKey, name::Namespace, route::TraceRequest, trace_context::MEMBER};
use lapdev_tunnel::body::Body;
use std::{future::Future, net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

/// The largest question, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// For the question itself.
const ASK_PATIENCE: Duration = Duration::from_secs(10);
/// For a probe with everything before and after it.
const TRACE_PATIENCE: Duration = Duration::from_secs(40);
/// How much of an answer is read, in bytes: only its status counts.
const MAX_ANSWER: usize = 1 << 20;

/// Why no probe was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceRefused {
    /// No held bundle permits it.
    #[error("{0}")]
    NotAllowed(String),
    /// The cluster cannot answer it now.
    #[error("{0}")]
    Unavailable(String),
    /// The routers take part in one probe at a time.
    #[error("another probe is on its way through the services of {namespace}; try again in {seconds} s")]
    Busy {
        /// Whose routers.
        namespace: Namespace,
        /// When it has surely ended.
        seconds: u64,
    },
}

/// Why a probe was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its path is none.
    #[error("the path is no legal one")]
    Path(#[source] http::Error),
    /// No answer in time.
    #[error("the Service did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// No connection.
    #[error("the Service does not accept connections")]
    Unreachable(#[source] std::io::Error),
    /// The connection broke.
    #[error("the Service broke off its answer")]
    Broken(#[source] hyper::Error),
}

/// What a probe's requests say.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Path and query.
    pub path: &'a str,
    /// The Service's name.
    pub host: &'a str,
    /// The `traceparent`.
    pub parent: &'a str,
    /// The branch's key, in both headers.
    pub key: &'a EnvironmentKey,
    /// Whether HTTP/2 is spoken with prior knowledge.
    pub http2: bool,
}

/// Answers `POST /trace`.
pub(super) async fn answer(session: &Session, request: Request<Incoming>) -> Response<Body> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect();
    let asked = match tokio::time::timeout(ASK_PATIENCE, body).await {
        Ok(Ok(collected)) => serde_json::from_slice::<TraceRequest>(&collected.to_bytes()),
        Ok(Err(error)) => return failure(StatusCode::BAD_REQUEST, "request", &error.to_string()),
        Err(_) => return failure(StatusCode::REQUEST_TIMEOUT, "slow", "the question did not arrive in time"),
    };
    let asked = match asked {
        Ok(asked) if asked.path.starts_with('/') => asked,
        Ok(_) => return failure(StatusCode::BAD_REQUEST, "request", "the probe's path does not begin with /"),
        Err(error) => return failure(StatusCode::BAD_REQUEST, "request", &error.to_string()),
    };
    match tokio::time::timeout(TRACE_PATIENCE, session.parts.cluster.trace(&asked)).await {
        Ok(Ok(report)) => json(&report),
        Ok(Err(refused @ TraceRefused::NotAllowed(_))) => {
            failure(StatusCode::FORBIDDEN, "undeclared", &refused.to_string())
        }
        Ok(Err(busy @ TraceRefused::Busy { .. })) => failure(StatusCode::CONFLICT, "busy", &busy.to_string()),
        Ok(Err(TraceRefused::Unavailable(cause))) => failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &cause),
        Err(_) => failure(StatusCode::GATEWAY_TIMEOUT, "trace", "the probe did not end in time"),
    }
}

/// Sends the probe so many times, one after another; the first answer's status counts.
///
/// # Errors
/// When the first was not answered.
pub async fn send(address: SocketAddr, sent: &Sent<'_>, times: usize, patience: Duration) -> Result<u16, ProbeError> {
    let begun = tokio::time::Instant::now();
    let first = within(patience, once(address, sent)).await?;
    for _ in 1..times {
        let left = patience.saturating_sub(begun.elapsed());
        if let Err(error) = within(left, once(address, sent)).await {
            tracing::debug!(%error, "a further probe was not answered");
            break;
        }
    }
    Ok(first.as_u16())
}

async fn within<T>(patience: Duration, call: impl Future<Output = Result<T, ProbeError>>) -> Result<T, ProbeError> {
    tokio::time::timeout(patience, call).await.unwrap_or(Err(ProbeError::Timeout(patience)))
}

async fn once(address: SocketAddr, sent: &Sent<'_>) -> Result<StatusCode, ProbeError> {
    let request = request(sent)?;
    let stream = TokioIo::new(TcpStream::connect(address).await.map_err(ProbeError::Unreachable)?);
    if sent.http2 {
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.map_err(ProbeError::Broken)?;
        return beside(connection, async move { status(sender.send_request(request).await).await }).await;
    }
    let (mut sender, connection) = http1::handshake(stream).await.map_err(ProbeError::Broken)?;
    beside(connection, async move { status(sender.send_request(request).await).await }).await
}

/// Moves a connection only while its one answer is awaited: no task is left behind.
async fn beside(
    connection: impl Future<Output = hyper::Result<()>>,
    answer: impl Future<Output = Result<StatusCode, ProbeError>>,
) -> Result<StatusCode, ProbeError> {
    let (mut connection, mut answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(ProbeError::Broken)?;
            answer.await
        }
    }
}

/// Reads the answer to its end, that the hop counts as answered.
async fn status(answered: hyper::Result<Response<Incoming>>) -> Result<StatusCode, ProbeError> {
    let response = answered.map_err(ProbeError::Broken)?;
    let status = response.status();
    // One that is larger, or breaks off, has told its status all the same.
    let _ = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    Ok(status)
}

fn request(sent: &Sent<'_>) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let Sent { path, host, parent, key, http2 } = sent;
    let member = format!("{MEMBER}={key}");
    let request = Request::get(if *http2 { format!("http://{host}{path}") } else { (*path).to_owned() });
    let request = if *http2 { request.version(Version::HTTP_2) } else { request.header(header::HOST, *host) };
    let request = request.header("traceparent", *parent).header("tracestate", &member).header("baggage", &member);
    let agent = concat!("lapdev-trace/", env!("CARGO_PKG_VERSION"));
    let request = request.header(header::USER_AGENT, agent).header(header::ACCEPT, "*/*");
    request.body(Empty::new()).map_err(ProbeError::Path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_carries_the_key_in_both_headers_and_a_trace_of_its_own() {
        let key = "x-abc234".parse().expect("legal");
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let sent = Sent { path: "/a?b=c", host: "web", parent, key: &key, http2: false };
        let one = request(&sent).expect("legal");
        let header = |name: &str| one.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((header("tracestate"), header("baggage")), (Some("lapdev=x-abc234"), Some("lapdev=x-abc234")));
        assert_eq!(
            (header("traceparent"), header("host"), one.uri().to_string().as_str()),
            (Some(parent), Some("web"), "/a?b=c")
        );
        let two = request(&Sent { http2: true, ..sent }).expect("legal");
        assert_eq!(two.uri().to_string(), "http://web/a?b=c");
        assert!(matches!(request(&Sent { path: "/ \n", ..sent }), Err(ProbeError::Path(_))));
    }
}
