//! The loop around sessions: when to dial, and how long to wait after each kind of end.

use super::{
    Cluster, Outbox, TunnelSettings,
    backoff::{Backoff, up_to},
    dial::{DialError, dial},
    session,
};
use lapdev_api::{wire::close, words::error_chain};
use lapdev_tunnel::link::Ended;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// After a clean restart of the hub.
const RESTART_SPREAD: Duration = Duration::from_secs(2);
/// A session that lasted so long was a good one: failures count from the start again.
const GOOD_SESSION: Duration = Duration::from_secs(60);

/// How the tunnel is, for the agent's own health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelState {
    /// This agent holds no Lease, or the hub knows a newer holder.
    StandBy,
    /// No session; in one sentence, why the last one ended or none came about.
    Disconnected(String),
    /// The session's first comparison is done.
    Synced,
    /// A session is open.
    Connected,
}

/// Keeps a session with the hub until `shutdown`. Dials only while `epoch` (the Lease's `leaseTransitions`) is there.
pub async fn run(
    settings: TunnelSettings,
    cluster: Arc<dyn Cluster>,
    outbox: Outbox,
    mut epoch: watch::Receiver<Option<u64>>,
    state: watch::Sender<TunnelState>,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let Some(current) = *epoch.borrow_and_update() else {
            state.send_replace(TunnelState::StandBy);
            wait(&mut epoch, &shutdown, None).await;
            continue;
        };
        let pause = match tokio::select! {
            () = shutdown.cancelled() => return,
            dialled = dial(&settings, current) => dialled,
        } {
            Err(error) => after_failure(&error, &state, &mut backoff),
            Ok(socket) => {
                let started = Instant::now();
                let session = session::Parts { cluster: cluster.clone(), outbox: outbox.clone(), state: state.clone() };
                let ended = session::run(socket, settings.heartbeat, session, current, &mut epoch, &shutdown).await;
                if started.elapsed() > GOOD_SESSION {
                    backoff = Backoff::default();
                }
                after_session(&ended, &state, &mut backoff)
            }
        };
        wait(&mut epoch, &shutdown, Some(pause)).await;
    }
}

/// Waits for the pause's end, a change of the Lease, or shutdown.
async fn wait(epoch: &mut watch::Receiver<Option<u64>>, shutdown: &CancellationToken, pause: Option<Duration>) {
    let pause = async {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => std::future::pending().await,
        }
    };
    let changed = async {
        if epoch.changed().await.is_err() {
            // The Lease's keeper is gone, so nothing will change any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! { () = shutdown.cancelled() => {}, () = changed => {}, () = pause => {} }
}

fn after_failure(error: &DialError, state: &watch::Sender<TunnelState>, backoff: &mut Backoff) -> Duration {
    let text = error_chain(error);
    let refused = matches!(error, DialError::Refused { status, .. } if status.is_client_error());
    let pause = if refused { backoff.longest() } else { backoff.pause() };
    tracing::warn!(error = text, seconds = pause.as_secs_f32(), "no tunnel to the hub; the next attempt follows");
    state.send_replace(TunnelState::Disconnected(text));
    pause
}

fn after_session(ended: &Ended, state: &watch::Sender<TunnelState>, backoff: &mut Backoff) -> Duration {
    let code = if let Ended::Peer { code, .. } = ended { *code } else { 0 };
    let pause = match code {
        close::RESTART => up_to(RESTART_SPREAD),
        close::STAND_BY | close::REVOKED | close::PROTOCOL => backoff.longest(),
        _ => backoff.pause(),
    };
    let seconds = pause.as_secs_f32();
    match code {
        close::STAND_BY => tracing::info!(seconds, "another agent holds the session; standing by"),
        close::REVOKED => tracing::error!(seconds, "the cluster's token was revoked; mount a new one"),
        _ => tracing::warn!(reason = %ended, seconds, "the session with the hub ended"),
    }
    state.send_replace(match code {
        close::STAND_BY => TunnelState::StandBy,
        _ => TunnelState::Disconnected(ended.to_string()),
    });
    pause
}
