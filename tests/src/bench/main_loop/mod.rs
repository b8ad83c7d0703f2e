//! The main loop: how long a push takes until the API server has its first apply, with many environments present, and
//! that a pass over unchanged ones writes nothing; each beside its floor, measured in the same run.

mod floor;
mod latency;
mod quiet;
mod table;
mod watch;

use crate::stage::{Error, Playbill, Theatre, forge, until, within};
use serde_json::Value;
use std::time::{Duration, Instant};
use table::Table;

/// How many Branch environments are there.
pub const ENVIRONMENTS: usize = 200;
/// How many pushes are timed.
const PUSHES: usize = 60;

/// Measures everything and prints the table; an error when a bound is missed.
pub async fn run() -> Result<(), Error> {
    let mut theatre = Theatre::open(&playbill()).await?;
    let populated = populate(&theatre).await?;
    let mut table = Table::default();
    table.say(&format!("{ENVIRONMENTS} Branch environments present, after {:.0} s", populated.as_secs_f64()));
    let mut watch = watch::Watch::start(&theatre.cluster).await?;
    let floor = floor::server_side_apply(&theatre.cluster, &mut watch, PUSHES).await?;
    let fetch = floor::git_fetch(&theatre.app, theatre.folder(), PUSHES).await?;
    let push = latency::pushes(&theatre, &mut watch, PUSHES).await?;
    table.row("floor: a bare server-side apply, seen by the same watch", &floor);
    table.row("floor: a bare `git fetch` of the pushed branch, as a process", &fetch);
    table.row("webhook sent → first apply at the API server", &push);
    let written = quiet::writes_of_a_pass(&mut theatre, &mut watch).await?;
    table.say(&format!("objects written by a pass over the {ENVIRONMENTS} unchanged environments: {written}"));
    table.print();
    within(push.percentile(50) < Duration::from_millis(300), "p50 is not below 300 ms")?;
    within(push.percentile(99) < Duration::from_secs(1), "p99 is not below 1 s")?;
    within(written == 0, "an unchanged environment was written")
}

/// The example shop, with room for all environments, and a poll that does not disturb.
fn playbill() -> Playbill {
    Playbill { poll: Duration::from_secs(3600), ..Playbill::default() }
}

fn branch(number: usize) -> String {
    format!("preview/b{number:03}")
}

/// Makes the branches, one push event for all, and waits until each environment is applied.
async fn populate(theatre: &Theatre) -> Result<Duration, Error> {
    let catalog = theatre.config.read("main", "lapdev/catalogs/shop.yaml")?;
    theatre.config.write("main", "lapdev/catalogs/shop.yaml", &catalog.replace("limit: 50", "limit: 500"))?;
    forge::pushed(&theatre.github, forge::CONFIG)?;
    for number in 0..ENVIRONMENTS {
        theatre.app.branch(&branch(number), "main")?;
        theatre.app.write(&branch(number), "services/web/greeting.txt", &format!("branch {number}\n"))?;
    }
    let begun = Instant::now();
    forge::pushed(&theatre.github, forge::APP)?;
    until("every environment is applied", Duration::from_secs(300), async || {
        let all = theatre.plane.environments().await?;
        let applied = |item: &&Value| item["type"] == "Branch" && item["observedGeneration"] == item["generation"];
        let count = all["items"].as_array().into_iter().flatten().filter(applied).count();
        within(count == ENVIRONMENTS, format!("{count} of {ENVIRONMENTS} applied\n{}", theatre.logs()))
    })
    .await?;
    Ok(begun.elapsed())
}
