//! Results by their inputs, kept for as long as each round of work asks for them again. A failure is kept for its round
//! only: it may have been the disk's and not the inputs'. So is a panic: what one repository holds must not keep the
//! environments of all others from being rendered.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Results, or why there is none, by what they are results of.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    entries: HashMap<K, Entry<V>>,
    round: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Result<V, String>,
    round: u64,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), round: 0 }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The result for `key`, made now if it is not known.
    pub fn get(&mut self, key: K, make: impl FnOnce() -> Result<V, String>) -> Result<V, String> {
        let round = self.round;
        let entry = self.entries.entry(key).or_insert_with(|| Entry { value: caught(make), round });
        entry.round = round;
        entry.value.clone()
    }

    /// A round ended: what nobody asked for in it is forgotten, and what failed.
    pub fn sweep(&mut self) {
        let round = self.round;
        self.entries.retain(|_, entry| entry.round == round && entry.value.is_ok());
        self.round += 1;
    }
}

/// Nothing of what `make` may leave half done is used again: it reads, and its result is dropped.
fn caught<V>(make: impl FnOnce() -> Result<V, String>) -> Result<V, String> {
    let failed = |_| Err("rendering it panicked, which is a defect of lapdev; the log says where".to_owned());
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_round_does_not_ask_for_is_forgotten() {
        let mut memo = Memo::default();
        assert_eq!(memo.get("a", || Ok(1)), Ok(1));
        assert_eq!(memo.get("b", || Ok(2)), Ok(2));
        memo.sweep();
        assert_eq!(memo.get("a", || Ok(9)), Ok(1));
        memo.sweep();
        assert_eq!(memo.get("b", || Ok(9)), Ok(9));
        assert_eq!(memo.get("a", || Ok(9)), Ok(1));
    }

    #[test]
    fn a_panic_is_the_failure_of_one() {
        let mut memo = Memo::default();
        let hostile = memo.get("a", || panic!("on purpose"));
        assert!(hostile.is_err_and(|message| message.contains("defect")));
        assert_eq!(memo.get("b", || Ok(1)), Ok(1));
    }

    #[test]
    fn a_failure_is_tried_again_in_the_next_round() {
        let mut memo = Memo::default();
        let failed = || Err("the disk is away".to_owned());
        assert_eq!((memo.get("a", failed), memo.get("a", || Ok(1))), (failed(), failed()), "once a round");
        memo.sweep();
        assert_eq!(memo.get("a", || Ok(1)), Ok(1));
    }
}
