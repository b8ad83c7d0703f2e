//! How the router ends: in phases, so that nothing is lost while another replica takes over.

use std::time::Duration;
use tokio::{sync::watch, time::sleep};

/// How far the end has come. Never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    #[default]
    Serving,
    /// Readiness says no; connections are still accepted, while kube-proxies learn of it.
    Leaving,
    /// HTTP/2 clients are told to go away, HTTP/1 clients by `connection: close` with their next answer; idle connections
    /// end, and what is under way goes on.
    Closing,
    /// Time is up.
    Over,
}

/// The longest that [`Phase::Leaving`] takes: kube-proxies learn of a change in about a second.
const LEAVING: Duration = Duration::from_secs(5);

/// How long each part of the end takes.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// [`Phase::Leaving`].
    pub leaving: Duration,
    /// [`Phase::Closing`] at most; it ends earlier with the last connection.
    pub closing: Duration,
}

impl Times {
    /// Divides up the whole time, so that both parts fit in.
    #[must_use]
    pub fn within(all: Duration) -> Self {
        let leaving = LEAVING.min(all / 3);
        Self { leaving, closing: all - leaving }
    }
}

/// Goes through the phases up to [`Phase::Closing`], and to [`Phase::Over`] when time is up; the caller stops waiting for
/// it when nothing is left to wait for.
pub async fn run(phase: &watch::Sender<Phase>, times: Times) {
    phase.send_replace(Phase::Leaving);
    sleep(times.leaving).await;
    phase.send_replace(Phase::Closing);
    sleep(times.closing).await;
    phase.send_replace(Phase::Over);
}
