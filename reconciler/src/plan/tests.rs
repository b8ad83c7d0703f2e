//! What the plan promises, one fact each.

use super::{
    Confirmation, OpenPullRequests, Refs, Work,
    fixture::{World, branch_file, branches, commit, declare, hour, name, pull_request, pull_requests, shop},
};
use lapdev_api::{
    kinds::{Forks, Placement, PullRequestRule, Sync, TriggerOn},
    name::{Commit, Generation, Uid},
    record::{EnvironmentRecord, Evidence, Life},
};

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
fn a_reopened_pull_request_is_a_new_life_that_waits_for_the_old_one_to_go() {
    let mut world = by_pull_request();
    let first = world.life("feature-x").identity.uid.clone();
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    assert!(queued_because(world.life("feature-x")).contains("still being removed"));
    world.confirm_gone();
    world.pass();
    let record = world.life("feature-x");
    assert_eq!(record.life, Life::Live);
    assert_ne!(record.identity.uid, first);
    assert_eq!(world.ledger.iter().filter(|life| life.identity.name == record.identity.name).count(), 2);
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
    let labelled = super::PullRequest { labels: vec!["preview".to_owned()], ..pull_request(7, "feature/x") };
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
    world.sees(&[], &[super::PullRequest { fork: true, ..pull_request(9, "main") }]);
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
fn a_file_that_changes_its_catalog_ends_the_old_life_and_begins_another() {
    let mut config = shop(vec![]);
    let mut second = config.catalogs[&name("shop")].value.clone();
    second.name = name("second");
    let places = Default::default();
    config.catalogs.insert(name("second"), crate::load::Placed { value: second, places });
    declare(&mut config, "other", Placement::Shared { cluster: name("dev") });
    config.environments.get_mut(&name("other")).expect("declared").value.catalog = name("second");
    declare(&mut config, "fx", branch_file("feature/x"));
    let mut world = World::new(config);
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    let first = world.life("fx").identity.uid.clone();
    let file = world.config.environments.get_mut(&name("fx")).expect("declared");
    file.value.catalog = name("second");
    let Placement::Branch { base, .. } = &mut file.value.placement else { panic!("a branch") };
    *base = name("other");
    world.pass();
    let old = world.ledger.iter().find(|record| record.identity.uid == first).expect("kept");
    assert_eq!(*evidence(old), Evidence::Moved { commit: commit(0xc0) });
    world.confirm_gone();
    world.pass();
    let now = world.life("fx");
    assert_eq!((&now.life, now.identity.catalog.as_str()), (&Life::Live, "second"));
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
fn an_environment_that_moves_begins_a_new_life_there() {
    let mut world = World::new(shop(vec![]));
    world.pass();
    declare(&mut world.config, "staging", Placement::Shared { cluster: name("other") });
    world.pass();
    assert!(matches!(evidence(&world.ledger[0]), Evidence::Moved { .. }));
    let record = world.life("staging");
    assert_eq!((record.cluster.as_str(), &record.life), ("other", &Life::Live));
    assert_ne!(record.identity.uid, world.ledger[0].identity.uid);
}

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

#[test]
fn a_fork_waits_for_an_approval_and_never_shares_a_branchs_identity() {
    let mut world = World::new(shop(vec![pull_requests()]));
    let fork = super::PullRequest { fork: true, ..pull_request(9, "main") };
    world.sees(&[], std::slice::from_ref(&fork));
    world.pass();
    assert!(queued_because(world.life("pull-9-head")).contains("approval"));
    let rule = PullRequestRule { forks: Forks::Allow, ..PullRequestRule::default() };
    world.config = shop(vec![TriggerOn::PullRequests(rule)]);
    world.pass();
    assert_eq!(world.life("pull-9-head").life, Life::Live);
    world.config = shop(vec![pull_requests()]);
    world.sees(&[], &[super::PullRequest { head: commit(8), ..fork }]);
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
fn what_is_new_waits_until_its_clusters_agent_has_said_what_it_holds() {
    let mut world = World::new(shop(vec![pull_requests()]));
    declare(&mut world.config, "far", Placement::Shared { cluster: name("other") });
    world.heard_of.remove(&name("dev"));
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    for environment in ["staging", "feature-x"] {
        let why = queued_because(world.life(environment));
        assert_eq!(why, "waits for the agent of cluster dev to connect, which may hold it already");
    }
    assert_eq!(world.life("far").life, Life::Live, "an agent that is away holds up its own cluster only");
    world.heard_of.insert(name("dev"));
    world.pass();
    let live = world.ledger.iter().filter(|record| record.life == Life::Live);
    assert_eq!(live.count(), 3);
    // What lives goes on while the agent has not said anything since a restart.
    let before = world.ledger.clone();
    world.heard_of.clear();
    world.pass();
    assert_eq!(world.ledger, before);
}

#[test]
fn the_life_that_a_cluster_held_takes_the_place_of_the_one_that_waited() {
    let mut world = by_pull_request();
    let mut held = world.life("feature-x").clone();
    (held.digest, held.head, held.reasons, held.pull_requests) = (None, None, vec![], vec![]);
    (world.ledger, world.heard_of) = (vec![], [name("other")].into());
    world.pass();
    let waited = world.life("feature-x").clone();
    queued_because(&waited);
    world.ledger.push(held.clone());
    world.heard_of.insert(name("dev"));
    world.pass();
    let by = held.identity.uid;
    let waited = world.ledger.iter().find(|record| record.identity.uid == waited.identity.uid).expect("kept");
    assert!(
        matches!(&waited.life, Life::Closed { evidence, .. } if *evidence == Evidence::Superseded { by: by.clone() })
    );
    assert_eq!((&world.life("feature-x").identity.uid, &world.life("feature-x").life), (&by, &Life::Live));
}

#[test]
fn the_life_that_a_cluster_held_stays_when_the_store_was_lost() {
    let mut world = by_pull_request();
    let mut held = world.life("feature-x").clone();
    let uid: Uid = name("zzzzzzzzzzzzzzz7");
    held.identity.uid = uid.clone();
    (held.digest, held.head, held.reasons, held.pull_requests) = (None, None, vec![], vec![]);
    held.generation = Generation(5);
    world.ledger.push(held);
    world.pass();
    let newer = world.ledger.iter().find(|record| is_closing(record)).expect("one of the two ends");
    assert_eq!(*evidence(newer), Evidence::Superseded { by: uid.clone() });
    assert_eq!((&world.life("feature-x").identity.uid, &world.life("feature-x").life), (&uid, &Life::Live));
    world.confirm_gone();
    world.pass();
    assert_eq!(world.life("feature-x").head, Some(commit(2)));
    assert_eq!(world.ledger.iter().filter(|record| record.life == Life::Live).count(), 2);
}

#[test]
fn of_three_lives_the_adopted_one_stays_whatever_the_others_count_and_a_base_does_not_wait_for_that() {
    let base = by_pull_request().life("staging").clone();
    let life = |uid: &str, generation, digest| {
        let mut life = base.clone();
        life.identity.uid = name(uid);
        (life.generation, life.digest) = (Generation(generation), digest);
        life
    };
    // Two of a store that was put back, and one that a cluster holds; in both orders.
    let (one, two, adopted) = ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc");
    let lives = [life(one, 4, base.digest), life(two, 9, base.digest), life(adopted, 3, None)];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let mut world = by_pull_request();
        world.ledger.retain(|record| record.identity.branch.is_some());
        world.ledger.extend(order.map(|index: usize| lives[index].clone()));
        world.pass();
        let find = |uid: &str| world.ledger.iter().find(|record| record.identity.uid.as_str() == uid).expect("kept");
        assert_eq!(find(adopted).life, Life::Live, "{order:?}");
        for goes in [one, two] {
            assert_eq!(*evidence(find(goes)), Evidence::Superseded { by: name(adopted) }, "{order:?}");
        }
    }
}

#[test]
fn an_adopted_environment_whose_pull_request_is_not_known_stays_in_doubt() {
    let mut world = by_pull_request();
    let adopted = world.ledger.iter_mut().find(|record| record.identity.branch.is_some()).expect("the branch");
    (adopted.digest, adopted.reasons, adopted.pull_requests) = (None, vec![], vec![]);
    world.sees(&[("feature/x", 2)], &[]);
    world.pass();
    assert_eq!(problems(world.life("feature-x")), ["PullRequestUnknown"]);
    world.sees(&[], &[]);
    world.pass();
    assert!(matches!(evidence(world.life("feature-x")), Evidence::RefGone { .. }));
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
fn doubt_lets_nothing_in() {
    let mut config = shop(vec![pull_requests()]);
    config
        .catalogs
        .get_mut(&name("shop"))
        .expect("the shop")
        .value
        .branch_environments
        .as_mut()
        .expect("it has")
        .limit = 0;
    let mut world = World::new(config);
    world.sees(&[("a", 2)], &[pull_request(1, "a")]);
    world.pass();
    world.repository.pull_requests = OpenPullRequests::Unavailable("502".to_owned());
    let rules = world.config.catalogs.get_mut(&name("shop")).expect("the shop");
    rules.value.branch_environments.as_mut().expect("it has").limit = 9;
    world.pass();
    assert!(matches!(world.life("a-").life, Life::Queued { .. }));
    world.sees(&[("a", 2)], &[pull_request(1, "a")]);
    world.pass();
    assert_eq!(world.life("a-").life, Life::Live);
}

fn declared() -> World {
    let mut config = shop(vec![pull_requests()]);
    declare(&mut config, "fx", branch_file("feature/x"));
    World::new(config)
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

#[test]
fn another_namespace_is_another_life() {
    let mut world = World::new(shop(vec![]));
    world.pass();
    world.config.clusters.get_mut(&name("dev")).expect("there").value.namespace_prefix = "env-".to_owned();
    world.pass();
    let old = &world.ledger[0];
    assert_eq!(*evidence(old), Evidence::Moved { commit: commit(0xc0) });
    assert_eq!((world.ledger.len(), world.life("staging").namespace.as_str()), (2, "env-staging"));
}

#[test]
fn what_is_removed_from_one_cluster_holds_up_nothing_in_another() {
    let mut world = World::new(shop(vec![]));
    world.heard_of.remove(&name("other"));
    world.pass();
    declare(&mut world.config, "staging", Placement::Shared { cluster: name("other") });
    world.pass();
    assert!(queued_because(world.life("staging")).contains("agent of cluster other"));
    world.heard_of.insert(name("other"));
    world.pass();
    assert!(is_closing(&world.ledger[0]));
    assert_eq!(world.life("staging").life, Life::Live);
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
    world.sees(&[], &[super::PullRequest { fork: true, ..pull_request(9, "main") }]);
    world.pass();
    assert_eq!(world.life("pull-9-head").life, Life::Live);
}
