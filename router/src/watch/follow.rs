//! Follows one watch for ever: hands on what it says, waits ever longer between failures, and says once that it fails and
//! once that it works again.

use super::Change;
use crate::count::Metrics;
use futures_util::{Stream, StreamExt};
use kube::runtime::watcher;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::sync::mpsc;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What one watch's events mean.
pub(super) trait Source {
    type Object;
    /// For the log.
    const WHAT: &'static str;

    fn read(&mut self, event: watcher::Event<Self::Object>) -> Option<Change>;
}

/// Ends only when nobody listens any more.
pub(super) async fn follow<S: Source>(
    events: impl Stream<Item = Result<watcher::Event<S::Object>, watcher::Error>>,
    mut source: S,
    tell: mpsc::Sender<Change>,
    metrics: Arc<Metrics>,
) {
    let (mut events, mut failures) = (pin!(events), 0_u32);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // That a listing begins says nothing: it may fail.
                if failures > 0 && !matches!(event, watcher::Event::Init) {
                    tracing::info!("the watch of {} works again", S::WHAT);
                    failures = 0;
                }
                let Some(change) = source.read(event) else { continue };
                if tell.send(change).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                metrics.watch_errors.inc();
                say(S::WHAT, failures, &error);
                failures = failures.saturating_add(1);
                // The watcher goes on where it was, or lists anew where that is too long ago.
                tokio::time::sleep(pause(failures, random())).await;
            }
        }
    }
}

fn say(what: &str, failures: u32, error: &watcher::Error) {
    if failures == 0 {
        tracing::warn!(%error, "the watch of {what} is interrupted; the last good state stays in force");
    } else {
        tracing::debug!(%error, failures, "the watch of {what} is still interrupted");
    }
}

/// Doubles from a quarter of a second to ten, then between half and all of it, so that many routers do not come at once.
fn pause(failures: u32, random: u8) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    whole / 2 + whole / 2 * u32::from(random) / 255
}

fn random() -> u8 {
    let mut byte = [128];
    // Without randomness the pause is merely one that others may have as well.
    getrandom::fill(&mut byte).ok();
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_seconds_and_are_never_nothing() {
        assert_eq!(pause(1, 255), FIRST_PAUSE);
        assert_eq!(pause(1, 0), FIRST_PAUSE / 2);
        assert_eq!(pause(u32::MAX, 255), LONGEST_PAUSE);
        let pauses: Vec<Duration> = (1..12).map(|failures| pause(failures, 255)).collect();
        assert!(pauses.is_sorted());
    }
}
