//! One environment as the agent holds it: what it is, what was accepted of it, and its end. Pure.

use crate::applyset::{Tombstone, Version};
use jiff::Timestamp;
use lapdev_api::{
    bundle::{Bundle, DialTarget, Identity},
    name::Namespace,
    wire::Held,
};
use std::sync::Arc;

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

impl Environment {
    /// What a hub should know of it. One that ended is held until it is gone.
    #[must_use]
    pub fn held(&self) -> Held {
        let tombstone = match &self.end {
            Some(End::Tombstone(tombstone)) => Some(tombstone),
            Some(End::Expired(_)) | None => None,
        };
        Held {
            identity: self.identity.clone(),
            namespace: self.namespace.clone(),
            generation: tombstone.map_or(self.accepted.generation, |tombstone| tombstone.generation),
            digest: self.bundle.as_ref().map(|_| self.accepted.digest),
            ended: tombstone.map(|tombstone| tombstone.evidence.clone()),
        }
    }

    /// Whether its bundle declares this target among its previews; one that ended declares none.
    #[must_use]
    pub fn declares(&self, target: &DialTarget) -> bool {
        let bundle = self.bundle.as_ref().filter(|_| self.end.is_none());
        bundle.is_some_and(|held| held.bundle.previews.contains(target))
    }
}
