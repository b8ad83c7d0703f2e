//! One agent's session, from the upgraded connection to its end. Whatever ends it, it is noted in the store.

use super::upgrade::{Admitted, policy};
use crate::{
    agents::Session,
    hub::Hub,
    sync::{self, SyncError},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use lapdev_api::{wire::close, words::error_chain};
use lapdev_store::{StoreError, Topic};
use lapdev_tunnel::{
    h2,
    link::{Closer, NORMAL, link, websocket_config},
};
use std::{sync::Arc, time::Duration};
use tokio::io::DuplexStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// What a session started ends with it, at once; more would be a defect, and must not hold up a restart.
const TASKS_PATIENCE: Duration = Duration::from_secs(10);
const UPGRADE_PATIENCE: Duration = Duration::from_secs(10);

/// Why this side ends a session.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("another agent of this cluster has a newer epoch")]
    StandBy,
    #[error("the token was revoked")]
    Revoked,
    #[error("what git permits in this cluster changed; connect again")]
    PolicyChanged,
    #[error("the control plane restarts")]
    Restart,
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    #[error("HTTP/2 inside the tunnel broke")]
    Http2(#[from] hyper::Error),
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl SessionError {
    fn close_code(&self) -> u16 {
        match self {
            Self::StandBy => close::STAND_BY,
            Self::Revoked => close::REVOKED,
            Self::Restart | Self::PolicyChanged => close::RESTART,
            Self::Sync(SyncError::Protocol(_)) => close::PROTOCOL,
            Self::Store(_) | Self::Http2(_) | Self::Sync(_) => NORMAL,
        }
    }
}

/// Runs the session to its end.
pub(super) async fn run(hub: Arc<Hub>, upgrade: OnUpgrade, admitted: Admitted) {
    let span = tracing::info_span!("session", cluster = %admitted.cluster, epoch = admitted.epoch);
    upgraded(&hub, upgrade, &admitted).instrument(span).await;
}

async fn upgraded(hub: &Hub, upgrade: OnUpgrade, admitted: &Admitted) {
    let io = match tokio::time::timeout(UPGRADE_PATIENCE, upgrade).await {
        Ok(Ok(io)) => TokioIo::new(io),
        Ok(Err(error)) => return tracing::debug!(%error, "an agent hung up during the upgrade"),
        Err(_) => return tracing::debug!("an upgrade did not finish in time"),
    };
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config())).await;
    let (bytes, closer, pump) = link(socket, hub.settings.heartbeat);
    let tasks = TaskTracker::new();
    let work = async {
        let error = work(hub, bytes, &closer, admitted, &tasks).await;
        let code = error.close_code();
        if code == NORMAL {
            tracing::warn!(error = error_chain(&error), "this side ends the session");
        }
        closer.close(code, close_reason(&error));
        // The pump ends when the peer has answered.
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = pump.run() => ended,
        () = work => unreachable!("pending"),
    };
    tasks.close();
    if tokio::time::timeout(TASKS_PATIENCE, tasks.wait()).await.is_err() {
        tracing::error!(left = tasks.len(), "tasks of an ended session do not end");
    }
    tracing::info!(reason = %ended, "the session ended");
}

/// A close frame has room for 123 bytes.
fn close_reason(error: &SessionError) -> String {
    let mut text = error.to_string();
    while text.len() > 120 {
        text.pop();
    }
    text
}

/// Fences, then keeps the session until this side has a reason to end it.
async fn work(
    hub: &Hub,
    bytes: DuplexStream,
    closer: &Closer,
    admitted: &Admitted,
    tasks: &TaskTracker,
) -> SessionError {
    let opened_at = Timestamp::now();
    let Admitted { cluster, epoch, version, .. } = admitted;
    // Noted even when the pump ends first and this future is dropped, be it in the middle of the opening.
    let _noted = Closing { hub, admitted, opened_at };
    match hub.store.session_opened(cluster, *epoch, version, opened_at).await {
        Ok(true) => {}
        Ok(false) => return SessionError::StandBy,
        Err(error) => return error.into(),
    }
    let (requests, connection) = match h2::client(tasks).handshake(TokioIo::new(bytes)).await {
        Ok(parts) => parts,
        Err(error) => return error.into(),
    };
    let session = Session::new(cluster.clone(), *epoch, closer.clone(), requests);
    if !hub.agents.enter(session.clone()) {
        return SessionError::StandBy;
    }
    let _entered = Leaving { hub, session: &session };
    tracing::info!(agent = %version, "a session with an agent began");
    hub.metrics.session_began(cluster);
    tokio::select! {
        outcome = connection => outcome.err().map_or(SessionError::Restart, SessionError::from),
        error = sync::run(hub, &session, &admitted.policy) => error.into(),
        error = permitted(hub, admitted) => error,
        () = hub.ending.cancelled() => SessionError::Restart,
    }
}

/// Returns when the token or what git permits is no longer what the session began with.
async fn permitted(hub: &Hub, admitted: &Admitted) -> SessionError {
    let mut changes = hub.store.watch(Topic::Config);
    loop {
        changes.borrow_and_update();
        match still_permitted(hub, admitted).await {
            Ok(None) => {}
            Ok(Some(reason)) => return reason,
            Err(error) => return error.into(),
        }
        if changes.changed().await.is_err() {
            return SessionError::Restart;
        }
    }
}

async fn still_permitted(hub: &Hub, admitted: &Admitted) -> Result<Option<SessionError>, StoreError> {
    let tokens = hub.store.list_tokens(&admitted.cluster).await?;
    if !tokens.iter().any(|token| token.id == admitted.token) {
        return Ok(Some(SessionError::Revoked));
    }
    let now = policy(hub, &admitted.cluster).await?;
    Ok((now.as_ref() != Some(&admitted.policy)).then_some(SessionError::PolicyChanged))
}

/// Takes the session out of the list of the connected.
struct Leaving<'a> {
    hub: &'a Hub,
    session: &'a Session,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.hub.agents.leave(self.session);
    }
}

/// Notes the session's end in the store, in a task that the hub waits for at shutdown.
struct Closing<'a> {
    hub: &'a Hub,
    admitted: &'a Admitted,
    opened_at: Timestamp,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let store = self.hub.store.clone();
        let (cluster, epoch, opened_at) = (self.admitted.cluster.clone(), self.admitted.epoch, self.opened_at);
        self.hub.sessions.spawn(async move {
            if let Err(error) = store.session_closed(&cluster, epoch, opened_at, Timestamp::now()).await {
                tracing::warn!(%cluster, error = error_chain(&error), "the end of a session could not be noted");
            }
        });
    }
}
