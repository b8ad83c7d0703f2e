//! Two upgraded connections become one: what comes on either goes out on the other, until both directions ended.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// Until both ends have switched.
const PATIENCE: Duration = Duration::from_secs(10);
/// For each direction, in bytes.
const BUFFER: usize = 32 << 10;

/// Joins them. A half-close carries over; where one end never switches or breaks, both end.
pub async fn join(one: OnUpgrade, two: OnUpgrade) {
    let both = async { tokio::try_join!(one, two) };
    let (one, two) = match tokio::time::timeout(PATIENCE, both).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => return tracing::debug!(%error, "a WebSocket did not come about"),
        Err(_) => return tracing::debug!("a WebSocket did not come about in time"),
    };
    let (mut one, mut two) = (TokioIo::new(one), TokioIo::new(two));
    if let Err(error) = tokio::io::copy_bidirectional_with_sizes(&mut one, &mut two, BUFFER, BUFFER).await {
        tracing::debug!(%error, "a WebSocket ended");
    }
}
