//! The control stream: what the hub says goes to the cluster, what the outbox holds goes to the hub.
//!
//! The two directions run side by side, so that neither waits for the other.

use super::{
    Accept, TunnelState,
    session::{Parts, Session},
};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use lapdev_api::wire::{AgentMessage, HubMessage, PROTOCOL, close};
use lapdev_tunnel::{
    body::{self, Body},
    lines::{self, LineError, Lines},
    link::NORMAL,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

const WELCOME_PATIENCE: Duration = Duration::from_secs(15);
/// Messages between the outbox and HTTP/2; the outbox coalesces what does not fit.
const OUT_BUFFER: usize = 8;

/// Why a session's control stream ended.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the hub did not welcome this agent in time")]
    NoWelcome,
    #[error("the hub did not begin with a welcome")]
    OutOfOrder,
    #[error("the hub speaks protocol {0}, this agent {PROTOCOL}; upgrade the older of the two")]
    Protocol(u32),
    #[error("the hub ended the control stream")]
    Ended,
}

/// Answers at once; the exchange goes on in a task of the session's.
pub(super) fn answer(session: &Arc<Session>, request: Request<Incoming>) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(OUT_BUFFER);
    let task = session.clone();
    session.tasks.spawn(async move {
        let outcome = tokio::select! {
            () = task.ended.cancelled() => return,
            outcome = exchange(&task.parts, request.into_body(), sender) => outcome,
        };
        if let Err(error) = outcome {
            let code = if matches!(error, ControlError::Protocol(_)) { close::PROTOCOL } else { NORMAL };
            tracing::warn!(%error, "the control stream ended");
            task.closer.close(code, error.to_string());
        }
    });
    Response::new(body::channel(receiver))
}

async fn exchange(parts: &Parts, body: Incoming, out: mpsc::Sender<Bytes>) -> Result<(), ControlError> {
    let mut lines = Lines::new(body);
    let welcome = tokio::time::timeout(WELCOME_PATIENCE, lines.next()).await.map_err(|_| ControlError::NoWelcome)??;
    let Some(HubMessage::Welcome { protocol, control_plane, policy }) = welcome else {
        return Err(ControlError::OutOfOrder);
    };
    if protocol != PROTOCOL {
        return Err(ControlError::Protocol(protocol));
    }
    parts.outbox.restart();
    let held = parts.cluster.begin(&control_plane, &policy).await;
    tracing::info!(%control_plane, held = held.len(), "a session with the hub began");
    let hello = AgentMessage::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: parts.cluster.kubernetes_version(),
        held,
    };
    out.send(lines::encode(&hello)).await.map_err(|_| ControlError::Ended)?;
    parts.state.send_replace(TunnelState::Connected);
    tokio::select! {
        outcome = listen(parts, lines) => outcome,
        outcome = speak(parts, out) => outcome,
    }
}

async fn listen(parts: &Parts, mut lines: Lines<Incoming>) -> Result<(), ControlError> {
    while let Some(message) = lines.next::<HubMessage>().await? {
        obey(parts, message).await?;
    }
    Err(ControlError::Ended)
}

async fn obey(parts: &Parts, message: HubMessage) -> Result<(), ControlError> {
    match message {
        HubMessage::Welcome { .. } => return Err(ControlError::OutOfOrder),
        HubMessage::Assign(assignment) => match parts.cluster.assign(&assignment).await {
            Accept::Accepted => {}
            Accept::Need => parts.outbox.need(assignment.digest),
            Accept::Refused(held) => parts.outbox.refused(&assignment.uid, held),
        },
        HubMessage::Tombstone { uid, generation, evidence } => {
            if let Accept::Refused(held) = parts.cluster.tombstone(&uid, generation, &evidence).await {
                parts.outbox.refused(&uid, held);
            }
        }
        HubMessage::Synced => {
            parts.cluster.synced().await;
            parts.state.send_replace(TunnelState::Synced);
        }
    }
    Ok(())
}

async fn speak(parts: &Parts, out: mpsc::Sender<Bytes>) -> Result<(), ControlError> {
    loop {
        // Room first, so that what waits in the outbox is still replaced by what is newer.
        let room = out.reserve().await.map_err(|_| ControlError::Ended)?;
        room.send(lines::encode(&parts.outbox.next().await));
    }
}
