//! The guard against mass deletion.

use super::{is_closing, problems};
use crate::plan::fixture::{World, branches, hour, name, pull_request, pull_requests, shop};
use lapdev_api::{name::Commit, record::Life};

fn many_branches() -> World {
    let mut world = World::new(shop(vec![branches("feature/**")]));
    let all = [("feature/a", 2), ("feature/b", 3), ("feature/c", 4), ("feature/d", 5)];
    world.sees(&all, &[]);
    world.pass();
    world
}

#[test]
fn a_mass_deletion_is_held_and_released_by_name_of_the_config_commit() {
    let mut world = many_branches();
    world.sees(&[], &[]);
    let plan = world.pass();
    let held = plan.held.expect("four of five");
    assert_eq!(held.environments.len(), 4);
    assert!(held.message.contains(world.config_commit.as_str()), "{}", held.message);
    assert!(world.ledger.iter().all(|record| record.life == Life::Live));
    assert_eq!(problems(world.life("feature-a")), ["DeletionHeld"]);
    let released: Commit = world.config_commit.clone();
    world.limits.release_deletions_at = Some(released);
    assert_eq!(world.pass().held, None);
    assert_eq!(world.ledger.iter().filter(|record| is_closing(record)).count(), 4);
}

#[test]
fn those_that_wait_do_not_make_a_mass_deletion_look_small() {
    let mut config = shop(vec![branches("feature/**")]);
    let catalog = config.catalogs.get_mut(&name("shop")).expect("there");
    catalog.value.branch_environments.as_mut().expect("it has some").limit = 3;
    let mut world = World::new(config);
    let names: Vec<String> = (10..30).map(|n| format!("feature/{n}")).collect();
    let seen: Vec<(&str, u64)> = names.iter().zip(2..).map(|(branch, head)| (branch.as_str(), head)).collect();
    world.sees(&seen, &[]);
    world.pass();
    let live = |world: &World| world.ledger.iter().filter(|record| record.life == Life::Live).count();
    assert_eq!((live(&world), world.ledger.len()), (4, 21));
    let gone = |branch: &str| world.life(&branch.replace('/', "-")).life == Life::Live;
    let left: Vec<(&str, u64)> = seen.iter().copied().filter(|(branch, _)| !gone(branch)).collect();
    world.sees(&left, &[]);
    let plan = world.pass();
    assert_eq!((plan.held.map(|held| held.environments.len()), live(&world)), (Some(3), 4));
}

#[test]
fn a_ttl_that_is_cut_counts_as_mass_deletion_and_one_that_ran_out_does_not() {
    let mut world = many_branches();
    world.now = hour(10);
    let catalog = world.config.catalogs.get_mut(&name("shop")).expect("the shop");
    catalog.value.branch_environments.as_mut().expect("branches").ttl = Some(jiff::SignedDuration::from_hours(1));
    assert!(world.pass().held.is_some());
    let mut world = many_branches();
    world.now = hour(72);
    assert_eq!(world.pass().held, None);
    assert_eq!(world.ledger.iter().filter(|record| is_closing(record)).count(), 4);
}

#[test]
fn pull_requests_that_people_close_are_never_held() {
    let mut world = World::new(shop(vec![pull_requests()]));
    let open: Vec<_> = (2..8).map(|n| pull_request(n, &format!("f{n}"))).collect();
    let heads: Vec<String> = (2..8).map(|n| format!("f{n}")).collect();
    let refs: Vec<(&str, u64)> = heads.iter().map(|head| (head.as_str(), 9)).collect();
    world.sees(&refs, &open);
    world.pass();
    world.sees(&[], &[]);
    assert_eq!(world.pass().held, None);
    assert_eq!(world.ledger.iter().filter(|record| is_closing(record)).count(), 6);
}
