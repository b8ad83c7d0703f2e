//! What the agent holds: each environment's accepted state and its end. The generation fence is here and nowhere else.
//! Pure: it remembers and refuses; `core` acts.

use crate::applyset::{Parent, Tombstone, Version};
use jiff::Timestamp;
use lapdev_api::{
    bundle::{Bundle, DialTarget, Identity},
    digest::Digest,
    name::{Generation, Namespace, Uid},
    wire::{Assignment, Held},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Ended environments whose tombstone is remembered after everything of them is gone.
const REMEMBERED: usize = 4096;

/// A bundle with the bytes that it came as.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldBundle {
    /// The canonical JSON.
    pub bytes: Vec<u8>,
    /// The same, read.
    pub bundle: Bundle,
}

/// One environment that the agent holds.
#[derive(Debug, Clone)]
pub struct Environment {
    /// What it is.
    pub identity: Identity,
    /// Where its objects are.
    pub namespace: Namespace,
    /// What was last accepted.
    pub accepted: Version,
    /// The accepted bundle, if its bytes are held.
    pub bundle: Option<Arc<HeldBundle>>,
    /// When its ttl ends.
    pub expires_at: Option<Timestamp>,
    /// What was last applied in full.
    pub applied: Option<Version>,
    /// Its end, if it came.
    pub end: Option<End>,
}

/// The end of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The control plane says so.
    Tombstone(Tombstone),
    /// Its ttl ended, and nobody said otherwise in time.
    Expired(Timestamp),
}

/// What became of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// It is what is held already.
    Same,
    /// The bundle is held already; it counts now.
    Accepted,
    /// Its bundle is missing.
    Need,
    /// What is held is newer.
    Refused(Generation),
}

/// Every environment that the agent holds.
#[derive(Debug, Default)]
pub struct Registry {
    environments: BTreeMap<Uid, Environment>,
    awaited: BTreeMap<Uid, Assignment>,
    ended: VecDeque<(Uid, Generation)>,
}

impl Registry {
    /// Takes over what a parent in the cluster says; a newer state that is held already stays, but an end is an end.
    pub fn restore(&mut self, parent: &Parent) {
        if let Some(tombstone) = &parent.tombstone {
            self.was_ended(parent.uid(), tombstone);
        }
        let held = self.environments.get(parent.uid()).map(|held| held.accepted.generation);
        if held.is_some_and(|held| held >= parent.accepted.generation) {
            return;
        }
        let late =
            |awaited: &Assignment| awaited.generation <= parent.accepted.generation || parent.tombstone.is_some();
        if self.awaited.get(parent.uid()).is_some_and(late) {
            self.awaited.remove(parent.uid());
        }
        let bundle = parent
            .read_bundle()
            .map(|bundle| Arc::new(HeldBundle { bytes: parent.bundle.clone().unwrap_or_default(), bundle }));
        if bundle.is_none() && parent.tombstone.is_none() {
            // It was too large to be kept: the hub sends it again for the asking.
            let Version { generation, digest } = parent.accepted;
            self.awaited.insert(parent.uid().clone(), Assignment { uid: parent.uid().clone(), generation, digest });
        }
        let environment = Environment {
            identity: parent.identity.clone(),
            namespace: parent.namespace.clone(),
            accepted: parent.accepted,
            bundle,
            expires_at: parent.expires_at,
            applied: parent.applied,
            end: parent.tombstone.clone().map(End::Tombstone),
        };
        self.environments.insert(parent.uid().clone(), environment);
    }

    /// An environment should be so.
    pub fn assign(&mut self, assignment: &Assignment) -> Assigned {
        let Assignment { uid, generation, digest } = assignment;
        if let Some((_, fence)) = self.ended.iter().find(|(ended, _)| ended == uid) {
            return Assigned::Refused(*fence);
        }
        if let Some(held) = self.environments.get_mut(uid) {
            if let Some(End::Tombstone(tombstone)) = &held.end {
                return Assigned::Refused(tombstone.generation);
            }
            let same_bytes = held.bundle.is_some() && held.accepted.digest == *digest;
            if *generation < held.accepted.generation
                || (*generation == held.accepted.generation && held.accepted.digest != *digest)
            {
                return Assigned::Refused(held.accepted.generation);
            }
            if same_bytes {
                self.awaited.remove(uid);
                let same = *generation == held.accepted.generation;
                held.accepted.generation = *generation;
                return if same { Assigned::Same } else { Assigned::Accepted };
            }
        }
        if let Some(awaited) = self.awaited.get(uid).filter(|awaited| awaited.generation > *generation) {
            return Assigned::Refused(awaited.generation);
        }
        self.awaited.insert(uid.clone(), assignment.clone());
        Assigned::Need
    }

    /// The assignment that waits for this bundle, if one does.
    #[must_use]
    pub fn awaited(&self, uid: &Uid, digest: Digest) -> Option<&Assignment> {
        self.awaited.get(uid).filter(|assignment| assignment.digest == digest)
    }

    /// The generation that waits for its bundle, if one does.
    #[must_use]
    pub fn awaited_generation(&self, uid: &Uid) -> Option<Generation> {
        self.awaited.get(uid).map(|assignment| assignment.generation)
    }

    /// Accepts the bundle that an assignment waited for; false when none does (any more).
    pub fn accept(&mut self, digest: Digest, held: HeldBundle, namespace: Namespace) -> bool {
        let uid = held.bundle.environment.uid.clone();
        let Some(assignment) = self.awaited(&uid, digest).cloned() else { return false };
        self.awaited.remove(&uid);
        let accepted = Version { generation: assignment.generation, digest };
        let identity = held.bundle.environment.clone();
        let applied = self.environments.get(&uid).and_then(|before| before.applied);
        let expires_at = held.bundle.expires_at;
        let bundle = Some(Arc::new(held));
        let environment = Environment { identity, namespace, accepted, bundle, expires_at, applied, end: None };
        self.environments.insert(uid, environment);
        true
    }

    /// An environment ended. True: it is held and now goes. An unknown one is fenced off and nothing else.
    ///
    /// # Errors
    /// What is held, when that is newer: a tombstone is newer than any assignment that it ends.
    pub fn tombstone(&mut self, uid: &Uid, tombstone: Tombstone) -> Result<bool, Generation> {
        let awaited = self.awaited.get(uid).map(|assignment| assignment.generation);
        let Some(held) = self.environments.get_mut(uid) else {
            if let Some(newer) = awaited.filter(|awaited| *awaited >= tombstone.generation) {
                return Err(newer);
            }
            self.fence(uid, tombstone.generation);
            return Ok(false);
        };
        match &held.end {
            Some(End::Tombstone(earlier)) if earlier.generation > tombstone.generation => Err(earlier.generation),
            Some(End::Tombstone(earlier)) if *earlier == tombstone => Ok(true),
            None | Some(End::Expired(_)) if held.accepted.generation >= tombstone.generation => {
                Err(held.accepted.generation)
            }
            _ => {
                held.end = Some(End::Tombstone(tombstone));
                self.awaited.remove(uid);
                Ok(true)
            }
        }
    }

    /// The cluster remembers that an environment was ended. What is held of it ends, whatever its generation: a uid has
    /// one life, and what was planned for it since then was planned by somebody who did not know.
    pub fn was_ended(&mut self, uid: &Uid, tombstone: &Tombstone) {
        let Some(held) = self.environments.get_mut(uid) else { return };
        let known = match &held.end {
            Some(End::Tombstone(known)) => known.generation >= tombstone.generation,
            Some(End::Expired(_)) | None => false,
        };
        if !known {
            held.end = Some(End::Tombstone(tombstone.clone()));
            self.awaited.remove(uid);
        }
    }

    /// The ttl of this environment ended at `at`.
    pub fn expire(&mut self, uid: &Uid, at: Timestamp) {
        if let Some(held) = self.environments.get_mut(uid).filter(|held| held.end.is_none()) {
            held.end = Some(End::Expired(at));
        }
    }

    /// Everything of it is gone. A tombstoned uid stays fenced.
    pub fn forget(&mut self, uid: &Uid) -> Option<Environment> {
        let held = self.environments.remove(uid)?;
        if let Some(End::Tombstone(tombstone)) = &held.end {
            self.fence(uid, tombstone.generation);
        }
        Some(held)
    }

    /// What was applied in full.
    pub fn applied(&mut self, uid: &Uid, version: Version) {
        if let Some(held) = self.environments.get_mut(uid) {
            held.applied = Some(version);
        }
    }

    /// One environment.
    #[must_use]
    pub fn get(&self, uid: &Uid) -> Option<&Environment> {
        self.environments.get(uid)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Uid, &Environment)> {
        self.environments.iter()
    }

    /// What a hub should know of what is held. An ended environment is held until it is gone.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let held = |environment: &Environment| Held {
            identity: environment.identity.clone(),
            namespace: environment.namespace.clone(),
            generation: match &environment.end {
                Some(End::Tombstone(tombstone)) => tombstone.generation,
                _ => environment.accepted.generation,
            },
            digest: environment.bundle.as_ref().map(|_| environment.accepted.digest),
            ended: match &environment.end {
                Some(End::Tombstone(tombstone)) => Some(tombstone.evidence.clone()),
                Some(End::Expired(_)) | None => None,
            },
        };
        self.environments.values().map(held).collect()
    }

    /// Whether a bundle that is held of `uid` declares this target among its previews.
    #[must_use]
    pub fn declares(&self, uid: &Uid, target: &DialTarget) -> bool {
        let held = self.environments.get(uid).filter(|environment| environment.end.is_none());
        let bundle = held.and_then(|environment| environment.bundle.as_ref());
        bundle.is_some_and(|held| held.bundle.previews.contains(target))
    }

    fn fence(&mut self, uid: &Uid, generation: Generation) {
        self.ended.retain(|(ended, _)| ended != uid);
        self.awaited.remove(uid);
        self.ended.push_back((uid.clone(), generation));
        if self.ended.len() > REMEMBERED {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn no_more_ends_are_remembered_than_there_is_room_for() {
        let mut registry = Registry::default();
        for number in 0..=u64::try_from(REMEMBERED).expect("small") {
            let mut random = [0; 10];
            random[2..].copy_from_slice(&number.to_be_bytes());
            let uid = lapdev_api::name::short_id(random).parse().expect("legal");
            assert_eq!(registry.tombstone(&uid, tombstone(2)), Ok(false));
        }
        assert_eq!(registry.ended.len(), REMEMBERED);
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
}
