//! What the plan promises, one fact each.

mod ends;
mod guard;
mod lives;
mod wants;

use crate::plan::fixture::{World, branch_file, declare, pull_request, pull_requests, shop};
use lapdev_api::record::{EnvironmentRecord, Evidence, Life};

fn by_pull_request() -> World {
    let mut world = World::new(shop(vec![pull_requests()]));
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    world
}

fn is_closing(record: &EnvironmentRecord) -> bool {
    matches!(record.life, Life::Closing { .. })
}

fn evidence(record: &EnvironmentRecord) -> &Evidence {
    match &record.life {
        Life::Closing { evidence, .. } | Life::Closed { evidence, .. } => evidence,
        other => panic!("{} is {other:?}", record.identity.name),
    }
}

fn queued_because(record: &EnvironmentRecord) -> &str {
    match &record.life {
        Life::Queued { reason } => reason,
        other => panic!("{} is {other:?}", record.identity.name),
    }
}

fn problems(record: &EnvironmentRecord) -> Vec<&str> {
    record.problems.iter().map(|problem| problem.reason.as_str()).collect()
}

fn declared() -> World {
    let mut config = shop(vec![pull_requests()]);
    declare(&mut config, "fx", branch_file("feature/x"));
    World::new(config)
}
