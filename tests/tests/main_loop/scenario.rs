//! One scenario in a theatre of its own: at most two at a time, each with its time, and on failure with the last state
//! and what the programs said.

use lapdev_tests::{
    cluster::ApiCluster,
    stage::{Error, Playbill, Theatre},
};
use std::{io::Write as _, time::Instant};
use tokio::sync::Semaphore;

/// Each theatre has six processes and a database.
static ROOM: Semaphore = Semaphore::const_new(2);

/// Plays one; panics with everything that is needed to see why.
pub async fn scenario(name: &str, playbill: &Playbill, act: impl AsyncFnOnce(&mut Theatre) -> Result<(), Error>) {
    scenario_after(name, playbill, async |_| Ok(()), act).await;
}

/// The same; `prepare` furnishes the cluster before the agent enters.
pub async fn scenario_after(
    name: &str,
    playbill: &Playbill,
    prepare: impl AsyncFnOnce(&ApiCluster) -> Result<(), Error>,
    act: impl AsyncFnOnce(&mut Theatre) -> Result<(), Error>,
) {
    let _place = ROOM.acquire().await.expect("it is never closed");
    let begun = Instant::now();
    let mut theatre = match Theatre::open_after(playbill, prepare).await {
        Ok(theatre) => theatre,
        Err(error) => panic!("{name}: the theatre does not open: {error}"),
    };
    let up = begun.elapsed();
    if let Err(error) = act(&mut theatre).await {
        let state = theatre.plane.lapdev(&["get", "environments", "-o", "json"]).await;
        panic!("{name}: {error}\n── the last state\n{state:?}\n{}", theatre.logs());
    }
    if let Err(error) = close(theatre).await {
        panic!("{name}: {error}");
    }
    say(&format!(
        "{name}: {:.1} s, of these {:.1} s to bring everybody up",
        begun.elapsed().as_secs_f64(),
        up.as_secs_f64()
    ));
}

/// Ends everybody in good order: `lapdev serve` must end at SIGTERM, and nothing of the cluster may stay.
async fn close(theatre: Theatre) -> Result<(), Error> {
    let Theatre { cluster, mut plane, mut agent, .. } = theatre;
    agent.kill().await?;
    plane.terminate().await?;
    Ok(cluster.stop()?)
}

/// Prints a line past the test harness, which keeps what passing tests print to itself.
pub fn say(line: &str) {
    // A reader that went away is no failure of the test.
    let _ = writeln!(std::io::stderr(), "main_loop: {line}");
}
