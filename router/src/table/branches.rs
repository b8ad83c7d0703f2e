//! The living branches by key, in shards that snapshots share: a change copies the pointers of one shard, whatever the
//! number of branches, and nobody who drops an old snapshot pays for all of them either.

use super::Pool;
use crate::count::Life;
use std::{borrow::Borrow, collections::HashSet, hash, sync::Arc};

const SHARDS: usize = 64;

/// A living branch: the pools of its own pods.
#[derive(Debug)]
pub struct Branch {
    /// Its key and counters, the same from its opening to its closing.
    pub life: Arc<Life>,
    /// By target id, ascending.
    pub(super) pools: Box<[(u32, Arc<Pool>)]>,
}

impl Branch {
    /// Its own pods behind a target, if it runs that Service.
    pub(super) fn pool(&self, target: u32) -> Option<&Arc<Pool>> {
        let at = self.pools.binary_search_by_key(&target, |(id, _)| *id).ok()?;
        self.pools.get(at).map(|(_, pool)| pool)
    }
}

/// Found by its key's text.
#[derive(Debug, Clone)]
struct ByKey(Arc<Branch>);

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        self.0.life.key.as_str()
    }
}

impl hash::Hash for ByKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let key: &str = self.borrow();
        key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.life.key == other.0.life.key
    }
}

impl Eq for ByKey {}

#[derive(Debug, Clone)]
pub(super) struct Branches(Box<[Arc<HashSet<ByKey>>]>);

impl Default for Branches {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

impl Branches {
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Branch>> {
        self.0[shard(key)].get(key).map(|ByKey(branch)| branch)
    }

    pub(super) fn insert(&mut self, branch: Arc<Branch>) {
        let shard = &mut self.0[shard(branch.life.key.as_str())];
        Arc::make_mut(shard).replace(ByKey(branch));
    }

    pub(super) fn remove(&mut self, key: &str) {
        Arc::make_mut(&mut self.0[shard(key)]).remove(key);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.0.iter().flat_map(|shard| shard.iter().map(|ByKey(branch)| branch))
    }
}

/// Keys end in characters of a hash, which spread well.
fn shard(key: &str) -> usize {
    let tail = key.bytes().rev().take(4);
    tail.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % SHARDS
}
