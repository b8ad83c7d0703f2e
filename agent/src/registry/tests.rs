//! The fence, case by case: what is accepted, refused, remembered and ended.

use super::*;
use crate::fixture;

fn uid() -> Uid {
    "bbbbbbbbbbbbbbbb".parse().expect("legal")
}

fn bundle(mark: &str) -> HeldBundle {
    let bundle = fixture::bundle(vec![mark.into()]);
    let bytes = bundle.clone().canonical().into_bytes();
    HeldBundle { bytes, bundle }
}

fn assignment(generation: u64, bundle: &HeldBundle) -> Assignment {
    Assignment { uid: uid(), generation: Generation(generation), digest: Digest::of(&bundle.bytes) }
}

fn accept(registry: &mut Registry, generation: u64, bundle: &HeldBundle) -> bool {
    assert_eq!(registry.assign(&assignment(generation, bundle)), Assigned::Need);
    registry.accept(Digest::of(&bundle.bytes), bundle.clone(), "n".parse().expect("legal"))
}

fn tombstone(generation: u64) -> Tombstone {
    Tombstone { generation: Generation(generation), evidence: "branch x is gone".into() }
}

#[test]
fn an_older_generation_is_refused() {
    let (old, new) = (bundle("old"), bundle("new"));
    let mut registry = Registry::default();
    assert!(accept(&mut registry, 2, &new));
    assert_eq!(registry.assign(&assignment(1, &old)), Assigned::Refused(Generation(2)));
    assert_eq!(registry.assign(&assignment(2, &old)), Assigned::Refused(Generation(2)));
    assert_eq!(registry.assign(&assignment(2, &new)), Assigned::Same);
    assert_eq!(registry.assign(&assignment(3, &new)), Assigned::Accepted);
    assert_eq!(registry.get(&uid()).expect("held").accepted.generation, Generation(3));
}

#[test]
fn a_bundle_that_nothing_waits_for_is_not_accepted() {
    let (one, two) = (bundle("one"), bundle("two"));
    let mut registry = Registry::default();
    assert!(!registry.accept(Digest::of(&one.bytes), one.clone(), "n".parse().expect("legal")));
    assert_eq!(registry.assign(&assignment(1, &one)), Assigned::Need);
    assert_eq!(registry.assign(&assignment(2, &two)), Assigned::Need);
    assert_eq!(registry.assign(&assignment(1, &one)), Assigned::Refused(Generation(2)), "a newer one is awaited");
    assert!(!registry.accept(Digest::of(&one.bytes), one, "n".parse().expect("legal")));
    assert!(registry.accept(Digest::of(&two.bytes), two, "n".parse().expect("legal")));
}

#[test]
fn a_tombstone_fences_everything_that_comes_late() {
    let bundle = bundle("x");
    let mut registry = Registry::default();
    assert!(accept(&mut registry, 5, &bundle));
    assert_eq!(registry.tombstone(&uid(), tombstone(4)), Err(Generation(5)));
    assert_eq!(registry.tombstone(&uid(), tombstone(5)), Err(Generation(5)));
    assert_eq!(registry.held()[0].ended, None);
    assert_eq!(registry.tombstone(&uid(), tombstone(6)), Ok(true));
    let held = registry.held().remove(0);
    assert_eq!((held.generation, held.ended), (Generation(6), Some(tombstone(6).evidence)));
    assert_eq!(registry.tombstone(&uid(), tombstone(6)), Ok(true), "said again after a reconnect");
    assert_eq!(registry.assign(&assignment(9, &bundle)), Assigned::Refused(Generation(6)));
    assert!(registry.forget(&uid()).is_some());
    assert_eq!(registry.assign(&assignment(9, &bundle)), Assigned::Refused(Generation(6)), "also when all is gone");
    assert_eq!(registry.tombstone(&uid(), tombstone(6)), Ok(false));
}

#[test]
fn a_tombstone_of_something_unknown_fences_it_too() {
    let mut registry = Registry::default();
    assert_eq!(registry.tombstone(&uid(), tombstone(2)), Ok(false));
    assert_eq!(registry.assign(&assignment(1, &bundle("x"))), Assigned::Refused(Generation(2)));
}

/// What a parent in the cluster says: a generation with its bundle, if it could be kept, and perhaps an end.
fn parent(generation: u64, held: &HeldBundle, bytes: bool, end: Option<Tombstone>) -> Parent {
    Parent {
        control_plane: held.bundle.control_plane.clone(),
        identity: held.bundle.environment.clone(),
        namespace: "n".parse().expect("legal"),
        kinds: Default::default(),
        accepted: Version { generation: Generation(generation), digest: Digest::of(&held.bytes) },
        applied: None,
        tombstone: end,
        expires_at: None,
        bundle: bytes.then(|| held.bytes.clone()),
    }
}

#[test]
fn what_the_cluster_remembers_counts_only_where_it_is_newer() {
    let (old, new) = (bundle("old"), bundle("new"));
    let mut registry = Registry::default();
    registry.restore(&parent(3, &new, true, None));
    assert_eq!(registry.assign(&assignment(3, &new)), Assigned::Same);
    for generation in [2, 3] {
        registry.restore(&parent(generation, &old, true, None));
        assert_eq!(registry.get(&uid()).expect("held").accepted.digest, Digest::of(&new.bytes), "{generation}");
    }
    registry.restore(&parent(4, &old, true, None));
    assert_eq!(registry.get(&uid()).expect("held").accepted.generation, Generation(4));
}

#[test]
fn what_was_awaited_before_the_cluster_remembered_more_comes_too_late() {
    let (old, new) = (bundle("old"), bundle("new"));
    for end in [None, Some(tombstone(8))] {
        let mut registry = Registry::default();
        assert_eq!(registry.assign(&assignment(5, &old)), Assigned::Need);
        registry.restore(&parent(7, &new, true, end.clone()));
        assert!(!registry.accept(Digest::of(&old.bytes), old.clone(), "n".parse().expect("legal")));
        assert_eq!(registry.get(&uid()).expect("held").accepted.generation, Generation(7), "{end:?}");
    }
}

#[test]
fn a_bundle_that_the_cluster_could_not_keep_is_needed_again_but_for_what_ended() {
    let large = bundle("large");
    let mut registry = Registry::default();
    registry.restore(&parent(3, &large, false, None));
    assert_eq!(registry.awaited_generation(&uid()), Some(Generation(3)));
    assert_eq!(registry.assign(&assignment(3, &large)), Assigned::Need, "its digest is known, its bytes are not");
    assert!(registry.accept(Digest::of(&large.bytes), large.clone(), "n".parse().expect("legal")));
    let mut ended = Registry::default();
    ended.restore(&parent(3, &large, false, Some(tombstone(4))));
    assert_eq!(ended.awaited_generation(&uid()), None);
    assert_eq!(ended.assign(&assignment(9, &large)), Assigned::Refused(Generation(4)));
}

#[test]
fn a_tombstone_ends_what_is_awaited_and_is_older_than_none_of_it() {
    let (one, two) = (bundle("one"), bundle("two"));
    let mut registry = Registry::default();
    assert_eq!(registry.assign(&assignment(5, &one)), Assigned::Need);
    assert_eq!(registry.tombstone(&uid(), tombstone(5)), Err(Generation(5)), "it is about to be held");
    assert!(registry.accept(Digest::of(&one.bytes), one, "n".parse().expect("legal")));
    assert_eq!(registry.assign(&assignment(6, &two)), Assigned::Need);
    assert_eq!(registry.tombstone(&uid(), tombstone(7)), Ok(true));
    assert!(!registry.accept(Digest::of(&two.bytes), two, "n".parse().expect("legal")), "it came too late");
    assert_eq!(registry.tombstone(&uid(), tombstone(6)), Err(Generation(7)), "an older one says nothing new");
}

#[test]
fn what_the_cluster_remembers_as_ended_lives_again_in_no_generation() {
    let (one, two) = (bundle("one"), bundle("two"));
    for expired in [false, true] {
        let mut registry = Registry::default();
        assert!(accept(&mut registry, 9, &one));
        assert_eq!(registry.assign(&assignment(10, &two)), Assigned::Need);
        if expired {
            registry.expire(&uid(), Timestamp::UNIX_EPOCH);
        }
        registry.restore(&parent(3, &two, true, Some(tombstone(4))));
        assert_eq!(registry.get(&uid()).expect("held").end, Some(End::Tombstone(tombstone(4))));
        assert!(!registry.accept(Digest::of(&two.bytes), two.clone(), "n".parse().expect("legal")));
        assert_eq!(registry.assign(&assignment(11, &two)), Assigned::Refused(Generation(4)));
        assert_eq!(registry.tombstone(&uid(), tombstone(11)), Ok(true), "and the control plane's own may follow");
        registry.restore(&parent(3, &two, true, Some(tombstone(4))));
        assert_eq!(registry.get(&uid()).expect("held").end, Some(End::Tombstone(tombstone(11))));
    }
}

#[test]
fn after_its_ttl_a_tombstone_is_fenced_as_before() {
    let mut registry = Registry::default();
    assert!(accept(&mut registry, 3, &bundle("x")));
    registry.expire(&uid(), Timestamp::UNIX_EPOCH);
    assert_eq!(registry.tombstone(&uid(), tombstone(3)), Err(Generation(3)));
    assert_eq!(registry.tombstone(&uid(), tombstone(4)), Ok(true));
}

#[test]
fn a_ttl_ends_nothing_that_was_ended_already() {
    let mut registry = Registry::default();
    assert!(accept(&mut registry, 1, &bundle("x")));
    registry.tombstone(&uid(), tombstone(2)).expect("newer");
    registry.expire(&uid(), Timestamp::UNIX_EPOCH);
    assert_eq!(registry.get(&uid()).expect("held").end, Some(End::Tombstone(tombstone(2))));
}

#[test]
fn only_declared_targets_of_a_living_environment_may_be_dialled() {
    let target = DialTarget {
        namespace: "n".parse().expect("legal"),
        service: "web".into(),
        port: lapdev_api::kinds::Port::Number(80),
    };
    let mut held = bundle("x");
    held.bundle.previews = vec![target.clone()];
    held.bytes = held.bundle.clone().canonical().into_bytes();
    let mut registry = Registry::default();
    assert!(accept(&mut registry, 1, &held));
    assert!(registry.declares(&uid(), &target));
    assert!(!registry.declares(&uid(), &DialTarget { service: "db".into(), ..target.clone() }));
    registry.tombstone(&uid(), tombstone(2)).expect("newer");
    assert!(!registry.declares(&uid(), &target));
}
