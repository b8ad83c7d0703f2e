//! One life after another: adopted, moved, reopened, superseded.

use super::{by_pull_request, evidence, is_closing, problems, queued_because};
use crate::plan::{
    OpenPullRequests,
    fixture::{World, branch_file, commit, declare, name, pull_request, pull_requests, shop},
};
use lapdev_api::{
    kinds::Placement,
    name::{Generation, Uid},
    record::{Evidence, Life},
};

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
