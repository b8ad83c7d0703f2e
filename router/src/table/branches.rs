//! The living branches by key, in shards that snapshots share: a change copies the pointers of one shard, whatever the
//! number of branches, and nobody who drops an old snapshot pays for all of them either.
//!
//! A key lies in its bucket as 24 bytes, so that finding it reads little memory: with many branches that is what a look-up
//! costs.

use super::Pool;
use crate::count::Life;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

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

/// A key's text as three words, the last one filled up with zeros, which no key contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words([u64; 3]);

impl Words {
    /// None of what is longer than any key.
    fn of(key: &str) -> Option<Self> {
        let mut words = [[0; 8]; 3];
        words.as_flattened_mut().get_mut(..key.len())?.copy_from_slice(key.as_bytes());
        Some(Self(words.map(u64::from_le_bytes)))
    }

    /// Multiplies and folds. A stranger may ask for any key, but only the agent puts keys in: nobody can make chains grow.
    fn mixed(&self) -> u64 {
        self.0.iter().fold(0, |sum, word| {
            let product = u128::from(sum ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xf39c_c060_5ced_c835;
            (product >> 64) as u64 ^ product as u64
        })
    }
}

impl Hash for Words {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.mixed());
    }
}

/// Takes [`Words::mixed`] as it is.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

type Shard = HashMap<Words, Arc<Branch>, BuildHasherDefault<AsItIs>>;

#[derive(Debug, Clone)]
pub(super) struct Branches(Box<[Arc<Shard>]>);

impl Default for Branches {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

impl Branches {
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Branch>> {
        let words = Words::of(key)?;
        self.0[shard(&words)].get(&words)
    }

    pub(super) fn insert(&mut self, branch: Arc<Branch>) {
        if let Some(words) = Words::of(branch.life.key.as_str()) {
            Arc::make_mut(&mut self.0[shard(&words)]).insert(words, branch);
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(words) = Words::of(key) {
            Arc::make_mut(&mut self.0[shard(&words)]).remove(&words);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.0.iter().flat_map(|shard| shard.values())
    }
}

/// By bits that the shard's own map does not use: those are the lowest ones and the highest seven.
fn shard(words: &Words) -> usize {
    (words.mixed() >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn two_texts_are_the_same_words_only_if_they_are_the_same(one in "[a-z0-9-]{1,24}", other in "[a-z0-9-]{1,24}") {
            prop_assert_eq!(Words::of(&one) == Words::of(&other), one == other);
        }
    }

    #[test]
    fn a_longer_text_than_any_key_is_none() {
        assert!(Words::of(&"x".repeat(24)).is_some());
        assert_eq!(Words::of(&"x".repeat(25)), None);
        assert!(Branches::default().get(&"x".repeat(10_000)).is_none());
    }

    #[test]
    fn keys_that_differ_little_are_spread_over_shards_and_buckets() {
        let all: Vec<Words> = (0..10_000).filter_map(|n| Words::of(&format!("feature-number-{n:05}"))).collect();
        let mut shards = [0_usize; SHARDS];
        all.iter().for_each(|words| shards[shard(words)] += 1);
        let (least, most) = (shards.iter().min(), shards.iter().max());
        assert!(least > Some(&100) && most < Some(&220), "{shards:?}");
        let buckets: HashSet<u64> = all.iter().map(|words| words.mixed() & 0xffff).collect();
        assert!(buckets.len() > 8_500, "{} of about 9,270 that chance gives", buckets.len());
    }
}
