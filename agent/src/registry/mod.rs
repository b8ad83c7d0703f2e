//! What the agent holds: each environment's accepted state and its end. The generation fence is here and nowhere else.
//! Pure: it remembers and refuses; `core` acts.

mod ended;
mod environment;
#[cfg(test)]
mod tests;

pub use environment::{End, Environment, HeldBundle};

use crate::applyset::{Parent, Tombstone, Version};
use ended::Ended;
use jiff::Timestamp;
use lapdev_api::{
    bundle::DialTarget,
    digest::Digest,
    name::{Generation, Namespace, Uid},
    wire::{Assignment, Held},
};
use std::{collections::BTreeMap, sync::Arc};

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
    ended: Ended,
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
        if let Some(fence) = self.ended.fence(uid) {
            return Assigned::Refused(fence);
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

    /// What a hub should know of what is held.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.environments.values().map(Environment::held).collect()
    }

    /// Whether a bundle that is held of `uid` declares this target among its previews.
    #[must_use]
    pub fn declares(&self, uid: &Uid, target: &DialTarget) -> bool {
        self.environments.get(uid).is_some_and(|environment| environment.declares(target))
    }

    fn fence(&mut self, uid: &Uid, generation: Generation) {
        self.awaited.remove(uid);
        self.ended.remember(uid, generation);
    }
}
