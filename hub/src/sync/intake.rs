//! What an agent says, into the store. An agent's word counts for its own cluster's environments only; the store checks
//! that in the same statement that writes.

use super::{Exchange, SyncError};
use hyper::body::Incoming;
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    name::{Generation, Uid},
    status::{EnvironmentStatus, Phase},
    wire::AgentMessage,
};
use lapdev_tunnel::lines::Lines;
use tokio::sync::mpsc;

/// Takes in what comes until the stream ends.
pub(super) async fn listen(
    exchange: &Exchange<'_>,
    mut lines: Lines<Incoming>,
    wanted: mpsc::Sender<Digest>,
) -> Result<(), SyncError> {
    while let Some(message) = lines.next().await? {
        take_in(exchange, message, &wanted).await?;
    }
    Err(SyncError::Ended)
}

async fn take_in(
    exchange: &Exchange<'_>,
    message: AgentMessage,
    wanted: &mpsc::Sender<Digest>,
) -> Result<(), SyncError> {
    let (store, cluster) = (&exchange.hub.store, &exchange.session.cluster);
    match message {
        AgentMessage::Hello { .. } => return Err(SyncError::OutOfOrder),
        AgentMessage::Need { digest } if exchange.was_told_of(&digest) => {
            wanted.send(digest).await.map_err(|_| SyncError::Ended)?;
        }
        // Also what was superseded meanwhile; the newer assignment is on its way.
        AgentMessage::Need { digest } => {
            tracing::debug!(%digest, "the agent asked for a bundle that is not assigned to it");
        }
        AgentMessage::Status(status) => {
            exchange.hub.metrics.status_received(cluster);
            store.record_status(cluster, &status, Timestamp::now()).await?;
        }
        AgentMessage::Gone { uid, generation } => {
            if store.confirm_gone(cluster, &uid, generation, Timestamp::now()).await? {
                tracing::info!(%uid, "everything of an ended environment is gone");
            }
        }
        AgentMessage::Refused { uid, held } => refused(exchange, &uid, held).await?,
    }
    Ok(())
}

/// The agent holds a newer generation than the store published: a copy of the store was put back. Its next hello makes
/// the store catch up; until then people see why nothing moves.
async fn refused(exchange: &Exchange<'_>, uid: &Uid, held: Generation) -> Result<(), SyncError> {
    tracing::error!(%uid, %held, "the agent refused a state: it holds a newer generation");
    let message = format!(
        "The agent holds generation {held}, newer than what was published. Was the control plane's database restored? \
         It catches up when the agent connects again."
    );
    let known = exchange.hub.store.status(uid).await?;
    let status = EnvironmentStatus {
        uid: uid.clone(),
        generation: held,
        applied: known.as_ref().and_then(|status| status.applied),
        phase: known.as_ref().map_or(Phase::Pending, |status| status.phase),
        message: message.clone(),
        traffic: known.as_ref().map(|status| status.traffic.clone()).unwrap_or_default(),
        workloads: known.map(|status| status.workloads).unwrap_or_default(),
        notices: vec![message],
    };
    exchange.hub.store.record_status(&exchange.session.cluster, &status, Timestamp::now()).await?;
    Ok(())
}
