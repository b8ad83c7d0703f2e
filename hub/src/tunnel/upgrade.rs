//! The HTTP/1.1 upgrade: who may open a tunnel, and how everybody else is told why not.

use super::session;
use crate::hub::Hub;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use lapdev_api::{
    name::ClusterName,
    wire::{ClusterPolicy, EPOCH_HEADER, SUBPROTOCOL, VERSION_HEADER},
    words::error_chain,
};
use lapdev_store::{Desired, StoreError};
use lapdev_tunnel::body::{self, Body};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// An agent that was let in.
pub(super) struct Admitted {
    pub(super) cluster: ClusterName,
    pub(super) token: String,
    pub(super) epoch: u64,
    pub(super) version: String,
    pub(super) policy: ClusterPolicy,
}

/// Why an agent was not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this address opens a WebSocket of subprotocol {SUBPROTOCOL} over HTTP/1.1, and nothing else")]
    NoUpgrade,
    #[error("the token is unknown or was revoked; `lapdev token create <cluster>` makes a new one")]
    Token,
    #[error("the header {EPOCH_HEADER} is missing or no number")]
    Epoch,
    #[error("the config repository declares no cluster {0}; the tunnel opens once it does")]
    Undeclared(ClusterName),
    #[error("the store does not answer; try again")]
    Store(#[source] StoreError),
    #[error("the control plane is stopping")]
    Stopping,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoUpgrade => StatusCode::UPGRADE_REQUIRED,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Epoch => StatusCode::BAD_REQUEST,
            Self::Undeclared(_) | Self::Store(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Answers the upgrade; the session goes on in a task of the hub's.
pub(crate) async fn answer(hub: &Arc<Hub>, request: Request<Incoming>) -> Response<Body> {
    match admit(hub, &request).await {
        Ok((accept_key, admitted)) => {
            let task = session::run(hub.clone(), hyper::upgrade::on(request), admitted);
            hub.sessions.spawn(task);
            switching(&accept_key)
        }
        Err(refusal) => {
            if let Refusal::Store(error) = &refusal {
                tracing::error!(error = error_chain(error), "an agent could not be let in");
            }
            refuse(&refusal)
        }
    }
}

async fn admit(hub: &Hub, request: &Request<Incoming>) -> Result<(HeaderValue, Admitted), Refusal> {
    if hub.ending.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let accept_key = websocket(request).ok_or(Refusal::NoUpgrade)?;
    let headers = request.headers();
    let secret = text(headers, header::AUTHORIZATION.as_str()).and_then(|v| v.strip_prefix("Bearer "));
    let (token, cluster) = match secret {
        Some(secret) => hub.store.find_token(secret.trim()).await.map_err(Refusal::Store)?.ok_or(Refusal::Token)?,
        None => return Err(Refusal::Token),
    };
    let epoch = text(headers, EPOCH_HEADER).and_then(|v| v.parse().ok()).ok_or(Refusal::Epoch)?;
    let policy = policy(hub, &cluster).await.map_err(Refusal::Store)?;
    let policy = policy.ok_or_else(|| Refusal::Undeclared(cluster.clone()))?;
    let noted = hub.store.token_used(&token, Timestamp::now()).await;
    noted.map_err(Refusal::Store)?;
    let version = text(headers, VERSION_HEADER).unwrap_or("unknown");
    let version = version.chars().take(64).collect();
    Ok((accept_key, Admitted { cluster, token, epoch, version, policy }))
}

/// What git permits in this cluster; none: it is not declared, and nothing of it is left to end.
pub(super) async fn policy(hub: &Hub, cluster: &ClusterName) -> Result<Option<ClusterPolicy>, StoreError> {
    let declared = hub.store.clusters().await?.into_iter().find(|declared| declared.name == *cluster);
    if let Some(declared) = declared {
        let (namespace_prefix, source_namespaces) = (declared.namespace_prefix, declared.source_namespaces);
        return Ok(Some(ClusterPolicy { namespace_prefix, source_namespaces }));
    }
    // Its last environments may have gone in the same commit: their tombstones must still arrive.
    let left = hub.store.desired(cluster).await?;
    let any_tombstone = left.iter().any(|desired| matches!(desired, Desired::Tombstone { .. }));
    Ok(any_tombstone.then(ClusterPolicy::default))
}

/// The key that answers a WebSocket handshake; none: it is not one that we accept.
fn websocket(request: &Request<Incoming>) -> Option<HeaderValue> {
    let headers = request.headers();
    let upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && lists(headers, header::CONNECTION.as_str(), "upgrade")
        && lists(headers, header::UPGRADE.as_str(), "websocket")
        && lists(headers, header::SEC_WEBSOCKET_VERSION.as_str(), "13")
        && lists(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str(), SUBPROTOCOL);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| upgrade)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// Whether a comma-separated header names `wanted`.
fn lists(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn switching(accept_key: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept_key.clone());
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    response
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let mut response = Response::new(body::full(format!("{refusal}\n")));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match refusal {
        Refusal::NoUpgrade => headers.insert(header::UPGRADE, HeaderValue::from_static("websocket")),
        Refusal::Token => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        _ => None,
    };
    response
}
