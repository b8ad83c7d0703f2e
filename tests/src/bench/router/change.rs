//! Does a change of the table slow down what goes through? Windows of steady load, by turns quiet and with five changes a
//! second. In a quiet window the same writes go into a ConfigMap that the router does not watch, since the API server runs
//! on the same cores: only the router's own work differs.

use super::{
    Length, RATE, RATE_CONNECTIONS,
    ground::Ground,
    measure::{Drive, Measured},
    proxy::Proxy,
    routes::Routes,
};
use crate::{load::Protocol, stage::Error};
use std::time::Duration;

const BETWEEN: Duration = Duration::from_millis(200);

/// The windows' measurements.
pub struct Change {
    /// While nothing changed.
    pub quiet: Vec<Measured>,
    /// While the table changed.
    pub changing: Vec<Measured>,
    /// How often it changed.
    pub changes: usize,
}

/// Measures as many windows of each kind as there are rounds.
pub async fn measure(ground: &Ground, proxy: &Proxy, routes: &mut Routes, length: &Length) -> Result<Change, Error> {
    let (seconds, connections) = (length.seconds * 2.0, RATE_CONNECTIONS);
    let rate = Some(RATE);
    let drive = Drive { protocol: Protocol::H1, connections, streams: 1, rate, seconds, warm_up: seconds / 5.0 };
    let mut change = Change { quiet: Vec::new(), changing: Vec::new(), changes: 0 };
    for _ in 0..length.rounds {
        change.quiet.push(window(ground, proxy, &drive, routes, false).await?.0);
        let (measured, changes) = window(ground, proxy, &drive, routes, true).await?;
        change.changing.push(measured);
        change.changes += changes;
    }
    Ok(change)
}

async fn window(
    ground: &Ground,
    proxy: &Proxy,
    drive: &Drive,
    routes: &mut Routes,
    seen: bool,
) -> Result<(Measured, usize), Error> {
    let load = drive.run(ground, proxy);
    tokio::pin!(load);
    let mut tick = tokio::time::interval(BETWEEN);
    let mut changes = 0;
    loop {
        tokio::select! {
            measured = &mut load => return Ok((measured?, changes)),
            _ = tick.tick() => {
                // Each of ten branches opens and closes by turns.
                routes.turn_over(changes % 10, seen).await?;
                changes += 1;
            }
        }
    }
}
