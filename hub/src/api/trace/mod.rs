//! `POST /environments/{name}/trace`: a probe through an environment, which its cluster's agent sends, and what follows from
//! what the routers saw. Within bounds of time and size, since an agent's word is a stranger's.

mod advice;
#[cfg(test)]
mod tests;
mod verdict;
mod way;

use super::answers::Failure;
use crate::{agents::Session, hub::Hub, sync};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::BodyExt;
use lapdev_api::{
    name::{ClusterName, EnvironmentName},
    record::{EnvironmentRecord, Life},
    route::{TraceReport, TraceRequest},
    view::{TraceAsked, TraceView},
    wire::{ERROR_HEADER, TRACE_PATH},
};
use lapdev_tunnel::body::{self, Body, BoxError};
use std::time::Duration;

/// An agent's probe lasts a minute at most.
const PATIENCE: Duration = Duration::from_secs(75);
const ASKING_PATIENCE: Duration = Duration::from_secs(10);
const MAX_ASKED: usize = 8 << 10;
const MAX_PATH: usize = 2 << 10;
const MAX_REPORT: usize = 8 << 20;

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub(super) enum TraceError {
    #[error("the request's body was not read in time, or is larger than {MAX_ASKED} bytes")]
    Unread,
    #[error("the request's body is not {{\"service\": NAME, \"path\": PATH}}: {0}")]
    Body(serde_json::Error),
    #[error("{0:?} is no name of a Service")]
    Service(String),
    #[error("the path must begin with a slash, hold no spaces, and have at most {MAX_PATH} characters")]
    Path,
    #[error("{0} is no Branch environment, so it has no key to trace; `lapdev get environments` shows which are")]
    NotBranch(EnvironmentName),
    #[error("{name} does not run, so there is nothing to trace: {why}")]
    NotLive { name: EnvironmentName, why: String },
    #[error("{0} shows no Service; name one that its base routes by --service")]
    NoService(EnvironmentName),
    #[error("the agent of cluster {0} is not connected, and only it can send a probe; see `lapdev get clusters`")]
    NotConnected(ClusterName),
    #[error("the agent of cluster {0} is too old to send a probe; upgrade it to the version of the control plane")]
    OldAgent(ClusterName),
    #[error("the agent sent no probe: {0}")]
    Refused(String),
    #[error("{0}")]
    Busy(String),
    #[error(
        "the agent of cluster {0} did not bring its report to an end, or it is larger than {MAX_REPORT} bytes; try again"
    )]
    Broken(ClusterName),
    #[error("the agent of cluster {0} did not answer within {patience} s", patience = PATIENCE.as_secs())]
    Late(ClusterName),
    #[error(
        "the agent of cluster {0} answered with something else than a report; is its version that of the control plane?"
    )]
    Unreadable(ClusterName),
}

impl TraceError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unread | Self::Body(_) | Self::Service(_) | Self::Path => StatusCode::BAD_REQUEST,
            Self::NotBranch(_) | Self::NotLive { .. } | Self::NoService(_) | Self::Busy(_) => StatusCode::CONFLICT,
            Self::NotConnected(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::OldAgent(_) | Self::Refused(_) | Self::Broken(_) | Self::Unreadable(_) => StatusCode::BAD_GATEWAY,
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Sends the probe and judges what came of it.
pub(super) async fn trace(hub: &Hub, name: &str, body: Body) -> Result<TraceView, Failure> {
    let asked = asked(body).await?;
    let record = super::view::record(hub, name).await?;
    may_be_traced(&record, &asked)?;
    let session = hub.agents.of(&record.cluster).ok_or_else(|| TraceError::NotConnected(record.cluster.clone()))?;
    let service = asked.service.or_else(|| behind_first_link(&record));
    let request = TraceRequest { uid: record.identity.uid, service, path: asked.path };
    let report = tokio::time::timeout(PATIENCE, ask(&session, &request)).await;
    let report = report.map_err(|_| TraceError::Late(record.cluster))??;
    Ok(TraceView { environment: record.identity.name, verdict: verdict::verdict(&report), report })
}

async fn asked(body: Body) -> Result<TraceAsked, TraceError> {
    let read = tokio::time::timeout(ASKING_PATIENCE, read(body)).await;
    parse(&read.ok().flatten().ok_or(TraceError::Unread)?)
}

/// All of it; none when it breaks off or is too large. (`Limited` would make a future that the compiler cannot see to be
/// `Send`.)
async fn read(mut body: Body) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MAX_ASKED {
            return None;
        }
    }
    Some(bytes)
}

/// No body at all means every default.
fn parse(bytes: &[u8]) -> Result<TraceAsked, TraceError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let asked: TraceAsked = serde_json::from_slice(bytes).map_err(TraceError::Body)?;
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = |name: &str| (1..=63).contains(&name.len()) && name.bytes().all(letter);
    if let Some(service) = asked.service.as_deref().filter(|service| !is_name(service)) {
        return Err(TraceError::Service(service.chars().take(80).collect()));
    }
    let legal = asked.path.starts_with('/') && asked.path.len() <= MAX_PATH && !asked.path.contains('#');
    if !legal || asked.path.parse::<PathAndQuery>().is_err() {
        return Err(TraceError::Path);
    }
    Ok(asked)
}

fn may_be_traced(record: &EnvironmentRecord, asked: &TraceAsked) -> Result<(), TraceError> {
    let name = || record.identity.name.clone();
    let not_live = |why: String| Err(TraceError::NotLive { name: name(), why });
    if record.identity.branch.is_none() {
        return Err(TraceError::NotBranch(name()));
    }
    match &record.life {
        Life::Queued { reason } => return not_live(reason.clone()),
        Life::Closing { evidence, .. } | Life::Closed { evidence, .. } => return not_live(evidence.to_string()),
        Life::Live if record.digest.is_none() => return not_live("nothing of it was published yet".to_owned()),
        Life::Live => {}
    }
    if asked.service.is_none() && record.previews.is_empty() { Err(TraceError::NoService(name())) } else { Ok(()) }
}

/// Where a probe begins unless somebody says it. The agent cannot know: a bundle's previews are not in the catalog's order.
fn behind_first_link(record: &EnvironmentRecord) -> Option<String> {
    let routes = &record.previews.first()?.routes;
    routes.iter().find(|(prefix, _)| prefix == "/").map(|(_, target)| target.service.clone())
}

/// An agent's no.
fn refusal(answer: &Response<Bytes>, cluster: ClusterName) -> TraceError {
    let says = |word: &str| answer.headers().get(ERROR_HEADER).is_some_and(|kind| kind == word);
    // So says an agent that has no such path.
    if says("path") && answer.status() == StatusCode::NOT_FOUND {
        return TraceError::OldAgent(cluster);
    }
    let why = String::from_utf8_lossy(answer.body()).trim().chars().take(1000).collect();
    if says("busy") { TraceError::Busy(why) } else { TraceError::Refused(why) }
}

async fn ask(session: &Session, asked: &TraceRequest) -> Result<TraceReport, TraceError> {
    let cluster = || session.cluster.clone();
    let json = serde_json::to_vec(asked).expect("it has string keys only");
    let mut request = sync::request(Method::POST, TRACE_PATH, body::full(json));
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    let broken = |error: BoxError| {
        tracing::debug!(%error, "an agent did not bring a trace");
        TraceError::Broken(cluster())
    };
    let answer = session.ask(request, MAX_REPORT).await.map_err(broken)?;
    let report = |json: &[u8]| serde_json::from_slice(json).map_err(|_| TraceError::Unreadable(cluster()));
    if answer.status().is_success() { report(answer.body()) } else { Err(refusal(&answer, cluster())) }
}
