//! Bases that several kustomizations of one rendering name: accumulated twice, then copied. What is met
//! only once, as most bases are, costs no copy.
//!
//! A copy is given out only where accumulating anew would surely yield the same.

use super::Accumulated;
use crate::path::TreePath;
use std::collections::HashMap;

/// What was met of a rendering's bases so far.
#[derive(Default)]
pub struct Bases(HashMap<Key, Option<Kept>>);

/// What a base's objects depend on, besides its files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub directory: TreePath,
    /// Whether the types by which patches merge were chosen before.
    pub types_chosen: bool,
}

/// A base's objects, and what it took to accumulate them.
pub struct Kept {
    pub all: Accumulated,
    /// Its kustomizations, its own the first.
    pub entered: Vec<Entered>,
    /// What it took from the budget.
    pub spent: usize,
}

/// A kustomization that was accumulated.
#[derive(Clone)]
pub struct Entered {
    pub directory: TreePath,
    /// How many others it lay in.
    pub depth: usize,
}

impl Kept {
    /// Its kustomizations, were it accumulated inside of so many others.
    pub fn entered_at(&self, depth: usize) -> Vec<Entered> {
        let first = self.entered.first().map_or(0, |own| own.depth);
        let moved = |one: &Entered| Entered { directory: one.directory.clone(), depth: one.depth - first + depth };
        self.entered.iter().map(moved).collect()
    }
}

impl Bases {
    /// The copy of a base.
    pub fn get(&self, key: &Key) -> Option<&Kept> {
        self.0.get(key)?.as_ref()
    }

    /// Notes that a base was accumulated; the second time it is kept.
    pub fn note(&mut self, key: Key, kept: impl FnOnce() -> Kept) {
        match self.0.get_mut(&key) {
            Some(known) => *known = Some(kept()),
            None => {
                self.0.insert(key, None);
            }
        }
    }
}
