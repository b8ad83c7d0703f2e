//! Results by their inputs, kept for as long as each round of work asks for them again.

use std::{collections::HashMap, hash::Hash};

/// Pure results, by what they are results of.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    entries: HashMap<K, Entry<V>>,
    round: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    round: u64,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), round: 0 }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The result for `key`, made now if it is not known.
    pub fn get(&mut self, key: K, make: impl FnOnce() -> V) -> V {
        let round = self.round;
        let entry = self.entries.entry(key).or_insert_with(|| Entry { value: make(), round });
        entry.round = round;
        entry.value.clone()
    }

    /// A round ended: what nobody asked for in it is forgotten.
    pub fn sweep(&mut self) {
        let round = self.round;
        self.entries.retain(|_, entry| entry.round == round);
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_round_does_not_ask_for_is_forgotten() {
        let mut memo = Memo::default();
        assert_eq!(memo.get("a", || 1), 1);
        assert_eq!(memo.get("b", || 2), 2);
        memo.sweep();
        assert_eq!(memo.get("a", || 9), 1);
        memo.sweep();
        assert_eq!(memo.get("b", || 9), 9);
        assert_eq!(memo.get("a", || 9), 1);
    }
}
