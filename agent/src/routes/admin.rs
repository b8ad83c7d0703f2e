//! Asks the routers themselves, on their own port: the only thing in pods that the agent speaks to beside declared previews.
//!
//! Each call is one connection with one request; it ends within `PATIENCE`, and an answer has a largest size.

use super::Token;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lapdev_api::route::ADMIN_PORT;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, net::IpAddr, time::Duration};
use tokio::net::TcpStream;

/// For one call.
const PATIENCE: Duration = Duration::from_secs(2);
/// Routers that are asked at the same time.
const AT_ONCE: usize = 16;
/// The largest answer, in bytes: the counters of thousands of branches.
const MAX_ANSWER: usize = 16 << 20;

/// A router that is ready, as its pod says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// The pod's name.
    pub pod: String,
    /// The pod's address.
    pub ip: IpAddr,
    /// By what it knows us.
    pub token: Token,
}

/// Why a router did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No answer in time.
    #[error("router {pod} did not answer on port {ADMIN_PORT} within {} s; does a NetworkPolicy keep the agent out?", PATIENCE.as_secs())]
    Timeout {
        /// Which.
        pod: String,
    },
    /// No connection.
    #[error("router {pod} cannot be reached on port {ADMIN_PORT}")]
    Unreachable {
        /// Which.
        pod: String,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke, or the answer is too large.
    #[error("router {pod} broke off its answer")]
    Broken {
        /// Which.
        pod: String,
        /// How.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused.
    #[error("router {pod} answered {status}")]
    Status {
        /// Which.
        pod: String,
        /// With what.
        status: StatusCode,
    },
    /// Its answer is not of a form that this agent knows.
    #[error("what router {pod} answered is not of a form that this agent knows; are both of one version?")]
    Form {
        /// Which.
        pod: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Asks every router the same, at the same time.
pub async fn all<T, F>(routers: &[Router], ask: impl Fn(Router) -> F) -> Vec<Result<T, AdminError>>
where
    F: Future<Output = Result<T, AdminError>>,
{
    let asked: Vec<_> = routers.iter().cloned().map(ask).collect();
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

/// `GET`, read as JSON.
///
/// # Errors
/// When it did not answer, or not with that.
pub async fn get<T: DeserializeOwned>(router: Router, path: &str) -> Result<T, AdminError> {
    let answer = call(&router, Method::GET, path, Bytes::new()).await?;
    serde_json::from_slice(&answer).map_err(|source| AdminError::Form { pod: router.pod, source })
}

/// `PUT` of something as JSON.
///
/// # Errors
/// When it did not accept it.
pub async fn put(router: Router, path: &str, value: &impl Serialize) -> Result<(), AdminError> {
    let body = serde_json::to_vec(value).expect("what is put has only string keys");
    call(&router, Method::PUT, path, body.into()).await.map(drop)
}

async fn call(router: &Router, method: Method, path: &str, body: Bytes) -> Result<Bytes, AdminError> {
    let answered = tokio::time::timeout(PATIENCE, exchange(router, method, path, body)).await;
    answered.unwrap_or_else(|_| Err(AdminError::Timeout { pod: router.pod.clone() }))
}

async fn exchange(router: &Router, method: Method, path: &str, body: Bytes) -> Result<Bytes, AdminError> {
    let pod = || router.pod.clone();
    let broken = |error: hyper::Error| AdminError::Broken { pod: pod(), source: error.into() };
    let stream = TcpStream::connect((router.ip, ADMIN_PORT)).await;
    let stream = stream.map_err(|source| AdminError::Unreachable { pod: pod(), source })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::builder().method(method).uri(path).header(header::HOST, "router");
    let request = request.header(header::AUTHORIZATION, router.token.bearer());
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Full::new(body));
    let request = request.expect("its parts are legal");
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (status, body) = (response.status(), Limited::new(response.into_body(), MAX_ANSWER));
        if !status.is_success() {
            return Err(AdminError::Status { pod: pod(), status });
        }
        let collected = body.collect().await.map_err(|source| AdminError::Broken { pod: pod(), source })?;
        Ok(collected.to_bytes())
    };
    // The connection moves only here and ends with the answer: no task is left behind.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(broken)?;
            answer.await
        }
    }
}
