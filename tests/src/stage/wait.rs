//! Waiting on a condition, with a limit, and with the last thing that was seen in the error.

use super::Error;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` gives something, at most `limit` long. `Err` from `look` is what stands in the way: the last one
/// is in the error of giving up.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        let seen = match tokio::time::timeout(limit, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "one look took longer than the whole limit".to_owned(),
        };
        if start.elapsed() > limit {
            return Err(format!("{what}: not within {limit:?}; last seen: {seen}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Turns a fact into a look: `Ok` when it holds, else `Err` with what was seen.
pub fn within(holds: bool, seen: impl Into<String>) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(seen.into().into()) }
}
