//! What should be, who is let in, and what is done for it.

use super::{by_pull_request, declared, queued_because};
use crate::plan::{
    PullRequest, Work,
    fixture::{World, branch_file, branches, commit, declare, hour, name, pull_request, pull_requests, shop},
};
use lapdev_api::{
    kinds::{Forks, Placement, PullRequestRule, Sync, TriggerOn},
    record::Life,
};

#[test]
fn an_open_pull_request_gets_one_environment_beside_its_base() {
    let world = by_pull_request();
    let (base, branch) = (world.life("staging"), world.life("feature-x"));
    assert_eq!((&base.life, &branch.life), (&Life::Live, &Life::Live));
    assert_eq!((&branch.namespace, &branch.cluster), (&base.namespace, &base.cluster));
    assert_eq!(branch.head, Some(commit(2)));
    assert_eq!(branch.pull_requests, [7]);
    assert_eq!(branch.reasons[0].text, "pull request #7 of acme/shop is open");
    assert_eq!(branch.expires_at, Some(hour(72)));
    assert_eq!(world.ledger.len(), 2);
}

#[test]
fn a_second_pass_over_the_same_plans_the_same() {
    let mut world = by_pull_request();
    let before = world.ledger.clone();
    world.pass();
    assert_eq!(world.ledger, before);
}

#[test]
fn a_push_moves_the_head_and_the_ttl() {
    let mut world = by_pull_request();
    world.now = hour(10);
    world.sees(&[("feature/x", 3)], &[pull_request(7, "feature/x")]);
    world.pass();
    let record = world.life("feature-x");
    assert_eq!((record.head.as_ref(), record.expires_at), (Some(&commit(3)), Some(hour(82))));
    assert_eq!(world.ledger.len(), 2);
}

#[test]
fn a_pull_request_on_a_branch_that_has_an_environment_only_attaches() {
    let mut world = World::new(shop(vec![pull_requests(), branches("feature/**")]));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    let uid = world.life("feature-x").identity.uid.clone();
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x"), pull_request(8, "feature/x")]);
    world.pass();
    let record = world.life("feature-x");
    assert_eq!((&record.identity.uid, record.pull_requests.as_slice()), (&uid, &[7, 8][..]));
}

#[test]
fn beyond_the_limit_they_queue_in_order_and_no_live_one_makes_room() {
    let mut config = shop(vec![pull_requests()]);
    let catalog = config.catalogs.get_mut(&name("shop")).expect("the shop");
    catalog.value.branch_environments.as_mut().expect("it has branches").limit = 1;
    let mut world = World::new(config);
    world.sees(&[("b", 2)], &[pull_request(2, "b")]);
    world.pass();
    world.now = hour(1);
    world.sees(&[("a", 3), ("b", 2), ("c", 4)], &[pull_request(1, "c"), pull_request(2, "b"), pull_request(3, "a")]);
    world.pass();
    let lives = |world: &World| ["a-", "b-", "c-"].map(|name| world.life(name).life == Life::Live);
    assert_eq!(lives(&world), [false, true, false]);
    assert!(queued_because(world.life("a-")).contains("all 1 places"));
    world.sees(&[("a", 3), ("b", 2), ("c", 4)], &[pull_request(1, "c"), pull_request(3, "a")]);
    world.pass();
    assert_eq!(lives(&world), [false, false, true], "#1 came before #3");
}

#[test]
fn a_file_wins_over_a_trigger_for_the_same_branch() {
    let mut world = by_pull_request();
    let uid = world.life("feature-x").identity.uid.clone();
    declare(&mut world.config, "mine", branch_file("feature/x"));
    world.pass();
    assert_eq!(world.life("mine").identity.uid, uid);
    assert_eq!(world.ledger.len(), 2);
    world.config.environments.remove(&name("mine"));
    world.pass();
    assert_eq!((&world.life("feature-x").identity.uid, &world.life("feature-x").life), (&uid, &Life::Live));
}

#[test]
fn a_fork_waits_for_an_approval_and_never_shares_a_branchs_identity() {
    let mut world = World::new(shop(vec![pull_requests()]));
    let fork = PullRequest { fork: true, ..pull_request(9, "main") };
    world.sees(&[], std::slice::from_ref(&fork));
    world.pass();
    assert!(queued_because(world.life("pull-9-head")).contains("approval"));
    let rule = PullRequestRule { forks: Forks::Allow, ..PullRequestRule::default() };
    world.config = shop(vec![TriggerOn::PullRequests(rule)]);
    world.pass();
    assert_eq!(world.life("pull-9-head").life, Life::Live);
    world.config = shop(vec![pull_requests()]);
    world.sees(&[], &[PullRequest { head: commit(8), ..fork }]);
    let plan = world.pass();
    let record = world.life("pull-9-head");
    assert_eq!((&record.life, record.head.as_ref()), (&Life::Live, Some(&commit(1))), "the new commit is not approved");
    assert!(plan.environments.iter().all(|planned| planned.record.head.is_none() || planned.work == Work::Keep));
}

#[test]
fn a_paused_environment_is_kept_as_it_is() {
    let mut world = World::new(shop(vec![]));
    world.pass();
    world.config.environments.get_mut(&name("staging")).expect("a file").value.paused = true;
    let plan = world.pass();
    assert_eq!(plan.environments[0].work, Work::Keep);
    assert_eq!(world.life("staging").life, Life::Live);
}

#[test]
fn a_file_for_a_branch_that_was_never_pushed_waits_in_one_life() {
    let mut world = declared();
    world.pass();
    let first = world.life("fx").clone();
    assert!(queued_because(&first).contains("has no branch feature/x"));
    world.pass();
    assert_eq!((world.life("fx"), world.ledger.len()), (&first, 2));
}

#[test]
fn a_name_is_given_once() {
    let mut world = by_pull_request();
    let key = world.life("feature-x").identity.name.clone();
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    world.confirm_gone();
    declare(&mut world.config, key.as_str(), Placement::Shared { cluster: name("dev") });
    world.pass();
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    assert!(queued_because(world.life("feature-x")).contains("another environment is named"));
}

#[test]
fn files_take_no_place_under_the_limit_and_need_none() {
    let mut config = shop(vec![branches("feature/**")]);
    config.catalogs.get_mut(&name("shop")).expect("there").value.branch_environments.as_mut().expect("some").limit = 1;
    declare(&mut config, "fy", branch_file("other/y"));
    let mut world = World::new(config);
    world.sees(&[("feature/x", 2), ("other/y", 3), ("other/z", 4)], &[]);
    world.pass();
    // Now that all places are taken.
    declare(&mut world.config, "fz", branch_file("other/z"));
    world.pass();
    for living in ["fy", "fz", "feature-x"] {
        assert_eq!(world.life(living).life, Life::Live, "{living}");
    }
}

#[test]
fn a_branch_waits_for_its_base() {
    let mut config = shop(vec![branches("feature/**")]);
    config.environments.get_mut(&name("staging")).expect("there").value.paused = true;
    let mut world = World::new(config);
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert!(queued_because(world.life("feature-x")).contains("its base staging is not live yet"));
}

#[test]
fn with_manual_sync_an_environment_keeps_the_revision_that_it_has() {
    for (sync, expected) in [(Sync::Auto, None), (Sync::Manual, Some(commit(0xa)))] {
        let mut world = World::new(shop(vec![]));
        world.config.catalogs.get_mut(&name("shop")).expect("there").value.sync = sync;
        world.pass();
        world.ledger[0].source = Some(commit(0xa));
        let Work::Render { pin, .. } = world.plan().environments.remove(0).work else { panic!("it is rendered") };
        assert_eq!(pin, expected, "{sync:?}");
    }
}

#[test]
fn the_default_branch_is_the_baselines() {
    let mut world = World::new(shop(vec![branches("**")]));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert!(world.find("main").is_none() && world.find("feature-x").is_some());
}

#[test]
fn of_two_triggers_the_one_that_asks_for_less_decides() {
    let rule = |forks| TriggerOn::PullRequests(PullRequestRule { forks, ..PullRequestRule::default() });
    let mut world = World::new(shop(vec![rule(Forks::Approval), rule(Forks::Allow)]));
    world.sees(&[], &[PullRequest { fork: true, ..pull_request(9, "main") }]);
    world.pass();
    assert_eq!(world.life("pull-9-head").life, Life::Live);
}
