//! What ends an environment, and what is no proof of it.

use super::{by_pull_request, declared, evidence, is_closing, problems};
use crate::plan::{
    Confirmation, OpenPullRequests, PullRequest, Refs, Work,
    fixture::{World, branch_file, branches, commit, declare, hour, name, pull_request, pull_requests, shop},
};
use lapdev_api::{
    kinds::{Forks, Placement, PullRequestRule, TriggerOn},
    name::Generation,
    record::{Evidence, Life},
};

#[test]
fn a_closed_pull_request_ends_it_only_when_the_forge_confirms() {
    let mut world = by_pull_request();
    world.sees(&[("feature/x", 2)], &[]);
    let plan = world.plan();
    assert_eq!(plan.asks.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [7]);
    world.pass_asking(|_| Confirmation::Unavailable("timeout".to_owned()));
    assert_eq!(world.life("feature-x").life, Life::Live);
    world.sees(&[("feature/x", 2)], &[]);
    world.pass_asking(|_| Confirmation::StillOpen(pull_request(7, "feature/x")));
    assert_eq!((&world.life("feature-x").life, problems(world.life("feature-x")).len()), (&Life::Live, 0));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::PullRequestClosed { numbers: vec![7] });
    assert_eq!(world.life("feature-x").generation, Generation(2));
}

#[test]
fn a_closed_pull_request_leaves_an_environment_that_its_branch_keeps() {
    let mut world = World::new(shop(vec![pull_requests(), branches("feature/**")]));
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert_eq!((&world.life("feature-x").life, world.life("feature-x").pull_requests.len()), (&Life::Live, 0));
}

#[test]
fn what_cannot_be_seen_ends_nothing() {
    let unseen: [fn(&mut World); 5] = [
        |world| world.repository.refs = Refs::Unreadable("404".to_owned()),
        |world| world.repository.refs = Refs::Complete { branches: Default::default(), default: None },
        |world| world.repository.pull_requests = OpenPullRequests::Unavailable("502".to_owned()),
        |world| world.repository = Default::default(),
        |world| world.repository.id = Some(name("43")),
    ];
    for (case, hide) in unseen.into_iter().enumerate() {
        let mut world = by_pull_request();
        world.sees(&[], &[]);
        hide(&mut world);
        world.pass_asking(|_| Confirmation::Unavailable("503".to_owned()));
        let record = world.life("feature-x");
        assert_eq!(record.life, Life::Live, "case {case}");
        assert!(!record.problems.is_empty(), "case {case} says why it stays");
    }
}

#[test]
fn a_branch_that_is_gone_in_a_complete_listing_ends_it() {
    let mut world = World::new(shop(vec![branches("feature/**")]));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    world.sees(&[], &[]);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::RefGone { branch: "feature/x".to_owned() });
}

#[test]
fn an_open_pull_request_speaks_for_a_branch_that_was_not_found() {
    let mut world = by_pull_request();
    world.sees(&[], &[pull_request(7, "feature/x")]);
    world.pass();
    assert_eq!(problems(world.life("feature-x")), ["BranchMissing"]);
    assert_eq!(world.life("feature-x").life, Life::Live);
}

#[test]
fn a_pull_request_speaks_for_a_missing_branch_though_no_trigger_listens_to_it() {
    for listed in [OpenPullRequests::Complete(vec![pull_request(7, "feature/x")]), OpenPullRequests::default()] {
        let mut world = World::new(shop(vec![branches("feature/**")]));
        world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
        world.pass();
        world.sees(&[], &[]);
        world.repository.pull_requests = listed;
        world.pass();
        let record = world.life("feature-x");
        assert_eq!((&record.life, problems(record)), (&Life::Live, vec!["BranchMissing"]));
        world.sees(&[], &[]);
        world.pass();
        assert!(is_closing(world.life("feature-x")));
    }
}

#[test]
fn one_of_two_pull_requests_that_is_closed_is_no_reason_while_the_other_is_open() {
    let rule = PullRequestRule { labels: vec!["preview".to_owned()], ..PullRequestRule::default() };
    let mut world = World::new(shop(vec![TriggerOn::PullRequests(rule)]));
    let labelled = PullRequest { labels: vec!["preview".to_owned()], ..pull_request(7, "feature/x") };
    world.sees(&[("feature/x", 2)], &[labelled, pull_request(8, "feature/x")]);
    world.pass();
    assert_eq!(world.life("feature-x").pull_requests, [7, 8]);
    world.sees(&[("feature/x", 2)], &[pull_request(8, "feature/x")]);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::TriggerGone { commit: commit(0xc0) });
}

#[test]
fn a_fork_has_no_branch_that_could_be_gone() {
    let rule = PullRequestRule { forks: Forks::Allow, ..PullRequestRule::default() };
    let mut world = World::new(shop(vec![TriggerOn::PullRequests(rule)]));
    world.sees(&[], &[PullRequest { fork: true, ..pull_request(9, "main") }]);
    world.pass();
    world.sees(&[], &[]);
    world.pass_asking(|_| Confirmation::Unavailable("timeout".to_owned()));
    assert_eq!(world.life("pull-9-head").life, Life::Live);
}

#[test]
fn a_branch_that_could_not_be_looked_for_is_not_called_missing() {
    let mut world = by_pull_request();
    world.sees(&[], &[pull_request(7, "feature/x")]);
    world.repository.refs = Refs::Unreadable("timed out".to_owned());
    world.pass();
    assert_eq!(problems(world.life("feature-x")), ["RepositoryUnreadable"]);
    assert_eq!(world.life("feature-x").life, Life::Live);
}

#[test]
fn a_trigger_that_leaves_the_config_ends_its_environments() {
    let mut world = by_pull_request();
    world.config = shop(vec![]);
    world.config_commit = commit(0xc1);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::TriggerGone { commit: commit(0xc1) });
}

#[test]
fn a_removed_label_ends_what_needed_it() {
    let rule = PullRequestRule { labels: vec!["preview".to_owned()], ..PullRequestRule::default() };
    let mut world = World::new(shop(vec![TriggerOn::PullRequests(rule)]));
    let mut labelled = pull_request(7, "feature/x");
    labelled.labels.push("preview".to_owned());
    world.sees(&[("feature/x", 2)], &[labelled]);
    world.pass();
    assert_eq!(world.life("feature-x").life, Life::Live);
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    assert!(matches!(evidence(world.life("feature-x")), Evidence::TriggerGone { .. }));
}

#[test]
fn a_ttl_ends_and_only_a_push_begins_a_new_life() {
    let mut world = by_pull_request();
    world.now = hour(72);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::TtlEnded { at: hour(72) });
    world.confirm_gone();
    world.pass();
    assert!(matches!(world.life("feature-x").life, Life::Closed { .. }), "the open pull request does not revive it");
    world.sees(&[("feature/x", 3)], &[pull_request(7, "feature/x")]);
    world.pass();
    assert_eq!(world.life("feature-x").life, Life::Live);
}

#[test]
fn a_file_that_is_gone_ends_its_environment() {
    let mut world = World::new(shop(vec![]));
    declare(&mut world.config, "alice", Placement::Personal { cluster: name("dev"), owner: "alice".to_owned() });
    world.pass();
    world.config.environments.remove(&name("alice"));
    world.config_commit = commit(0xc2);
    world.pass();
    assert_eq!(*evidence(world.life("alice")), Evidence::FileGone { commit: commit(0xc2) });
}

#[test]
fn a_file_whose_base_lost_its_place_ends_nothing() {
    let mut config = shop(vec![]);
    declare(&mut config, "fx", branch_file("feature/x"));
    let mut world = World::new(config);
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    world.config.clusters.get_mut(&name("dev")).expect("there").value.namespace_prefix = "x".repeat(63);
    world.pass();
    assert_eq!((&world.life("fx").life, problems(world.life("fx"))), (&Life::Live, vec!["Unplaceable"]));
}

#[test]
fn an_open_pull_request_is_never_evidence_of_its_end() {
    let mut world = by_pull_request();
    // Its branch is another one now, for the forge at least.
    world.sees(&[("feature/x", 2), ("feature/y", 3)], &[pull_request(7, "feature/y")]);
    world.pass();
    assert_eq!((&world.life("feature-x").life, world.life("feature-y").pull_requests.len()), (&Life::Live, 1));
    assert_eq!(problems(world.life("feature-x")), ["PullRequestUnknown"]);
    // One of two that is closed is; and only that one.
    let mut world = World::new(shop(vec![pull_requests()]));
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x"), pull_request(8, "feature/x")]);
    world.pass();
    world.sees(&[("feature/x", 2), ("feature/y", 3)], &[pull_request(7, "feature/y")]);
    world.pass();
    assert_eq!(*evidence(world.life("feature-x")), Evidence::PullRequestClosed { numbers: vec![8] });
}

#[test]
fn a_file_that_is_gone_does_not_take_along_what_a_pull_request_may_still_ask_for() {
    let mut config = shop(vec![pull_requests()]);
    declare(&mut config, "fx", branch_file("feature/x"));
    let mut world = World::new(config);
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    world.config.environments.remove(&name("fx"));
    let before = world.life("fx").clone();
    world.sees(&[("feature/x", 3)], &[]);
    world.pass_asking(|_| Confirmation::Unavailable("timeout".to_owned()));
    assert_eq!((&world.life("fx").life, problems(world.life("fx"))), (&Life::Live, vec!["PullRequestUnknown"]));
    let now = world.life("fx");
    assert_eq!((&now.head, now.declaration), (&before.head, before.declaration), "the file may be what is in doubt");
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert_eq!(*evidence(world.life("fx")), Evidence::FileGone { commit: commit(0xc0) });
}

#[test]
fn a_base_stays_until_its_last_branch_is_gone() {
    let mut world = by_pull_request();
    world.config.environments.remove(&name("staging"));
    world.config.catalogs.clear();
    world.pass();
    assert!(is_closing(world.life("feature-x")));
    assert_eq!(problems(world.life("staging")), ["WaitsForBranches"]);
    world.pass();
    assert_eq!(world.life("staging").life, Life::Live, "the branch's objects are still there");
    world.confirm_gone();
    world.pass();
    assert!(is_closing(world.life("staging")));
}

#[test]
fn a_declared_environment_whose_repository_cannot_be_read_is_left_exactly_as_it_is() {
    let mut world = World::new(shop(vec![]));
    declare(&mut world.config, "mine", branch_file("feature/x"));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    for unknown_id in [false, true] {
        world.repository.refs = Refs::Unreadable("timeout".to_owned());
        world.repository.id = world.repository.id.take().filter(|_| !unknown_id);
        let plan = world.pass();
        let planned =
            plan.environments.iter().find(|one| one.record.identity.name.as_str() == "mine").expect("planned");
        assert_eq!((&planned.record.life, &planned.work), (&Life::Live, &Work::Keep), "{unknown_id}");
        assert_eq!(problems(&planned.record), ["RepositoryUnreadable"]);
    }
}

#[test]
fn a_declared_branch_that_is_not_found_stays_while_a_pull_request_speaks_for_it() {
    let mut world = declared();
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    world.sees(&[], &[pull_request(7, "feature/x")]);
    world.pass();
    assert_eq!(world.life("fx").life, Life::Live);
    world.sees(&[], &[]);
    world.pass_asking(|_| Confirmation::Unavailable("timeout".to_owned()));
    assert_eq!(world.life("fx").life, Life::Live);
    world.sees(&[], &[]);
    world.pass();
    assert_eq!(*evidence(world.life("fx")), Evidence::RefGone { branch: "feature/x".to_owned() });
}

#[test]
fn after_a_ttl_a_longer_one_or_a_changed_file_begins_a_new_life() {
    let changes: [fn(&mut World); 2] = [
        |world| world.config.environments.get_mut(&name("mine")).expect("there").value.ttl = Some(hours(100)),
        |world| {
            let placement = Placement::Personal { cluster: name("dev"), owner: "bob".to_owned() };
            world.config.environments.get_mut(&name("mine")).expect("there").value.placement = placement;
        },
    ];
    for change in changes {
        let mut config = shop(vec![]);
        declare(&mut config, "mine", Placement::Personal { cluster: name("dev"), owner: "alice".to_owned() });
        config.environments.get_mut(&name("mine")).expect("there").value.ttl = Some(hours(10));
        let mut world = World::new(config);
        world.pass();
        world.now = hour(10);
        world.pass();
        world.confirm_gone();
        world.pass();
        assert_eq!(*evidence(world.life("mine")), Evidence::TtlEnded { at: hour(10) });
        change(&mut world);
        world.pass();
        assert_eq!(world.life("mine").life, Life::Live);
    }
    // Of a derived one only the catalog can ask for more.
    let mut world = World::new(shop(vec![branches("feature/**")]));
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    world.now = hour(72);
    world.pass();
    world.confirm_gone();
    let catalog = world.config.catalogs.get_mut(&name("shop")).expect("there");
    catalog.value.branch_environments.as_mut().expect("it has some").ttl = Some(hours(100));
    world.pass();
    assert_eq!(world.life("feature-x").life, Life::Live);
}

fn hours(hours: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_hours(hours)
}

#[test]
fn a_base_does_not_wait_for_the_branches_of_another_one() {
    let mut world = by_pull_request();
    declare(&mut world.config, "spare", Placement::Shared { cluster: name("dev") });
    world.pass();
    world.config.environments.remove(&name("spare"));
    world.pass();
    assert!(is_closing(world.life("spare")));
}
