//! Bundles to one agent: each a `PUT` stream of its own, a few at once, so that the control stream never waits.

use super::{SyncError, request};
use crate::{agents::Session, hub::Hub};
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Method, StatusCode, header};
use lapdev_api::{digest::Digest, wire::BUNDLES_PATH};
use lapdev_tunnel::body;
use std::{collections::HashSet, time::Duration};
use tokio::sync::mpsc;

const AT_ONCE: usize = 4;
/// For one bundle, from the first byte to the agent's answer.
const PATIENCE: Duration = Duration::from_secs(330);

/// Sends what is asked for until the session ends. One that is under way is not sent twice at once.
pub(super) async fn push(hub: &Hub, session: &Session, mut wanted: mpsc::Receiver<Digest>) -> Result<(), SyncError> {
    let mut under_way = FuturesUnordered::new();
    let mut digests = HashSet::new();
    loop {
        tokio::select! {
            digest = wanted.recv(), if under_way.len() < AT_ONCE => match digest {
                Some(digest) if digests.insert(digest) => {
                    under_way.push(async move { (digest, put(hub, session, digest).await) });
                }
                Some(_) => {}
                None => return Ok(()),
            },
            Some((digest, outcome)) = under_way.next(), if !under_way.is_empty() => {
                digests.remove(&digest);
                outcome?;
            }
        }
    }
}

async fn put(hub: &Hub, session: &Session, digest: Digest) -> Result<(), SyncError> {
    let Some(bytes) = hub.store.bundle_gzip(&digest).await? else {
        tracing::debug!(%digest, "a bundle was superseded before it was sent");
        return Ok(());
    };
    let length = bytes.len();
    let mut request = request(Method::PUT, &format!("{BUNDLES_PATH}{digest}"), body::full(bytes));
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let response = match tokio::time::timeout(PATIENCE, session.send(request)).await {
        Ok(response) => response.map_err(SyncError::Broken)?,
        Err(_) => return Err(SyncError::Stalled),
    };
    let status = response.status();
    if status == StatusCode::NO_CONTENT {
        hub.metrics.bundle_sent(&session.cluster, length);
        tracing::debug!(%digest, length, "sent a bundle");
    } else {
        let cause = Session::cause(response).await;
        tracing::error!(%digest, %status, cause, "the agent refused a bundle");
    }
    Ok(())
}
