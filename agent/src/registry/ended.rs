//! Ends that are remembered after everything of their environments is gone: a uid that was ended once is refused. Bounded,
//! the oldest go first; the hub and the tombstones in the cluster remember longer. Pure.

use lapdev_api::name::{Generation, Uid};
use std::collections::VecDeque;

/// So many are remembered.
const REMEMBERED: usize = 4096;

/// The uids that were ended, and by which generation, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ended(VecDeque<(Uid, Generation)>);

impl Ended {
    /// The generation that ended this uid.
    pub(super) fn fence(&self, uid: &Uid) -> Option<Generation> {
        self.0.iter().find(|(ended, _)| ended == uid).map(|(_, generation)| *generation)
    }

    /// Remembers an end.
    pub(super) fn remember(&mut self, uid: &Uid, generation: Generation) {
        self.0.retain(|(ended, _)| ended != uid);
        self.0.push_back((uid.clone(), generation));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u64) -> Uid {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        lapdev_api::name::short_id(random).parse().expect("legal")
    }

    #[test]
    fn no_more_ends_are_remembered_than_there_is_room_for_and_the_newest_stay() {
        let (mut ended, last) = (Ended::default(), u64::try_from(REMEMBERED).expect("small"));
        for number in 0..=last {
            ended.remember(&uid(number), Generation(2));
        }
        assert_eq!(ended.0.len(), REMEMBERED);
        assert_eq!((ended.fence(&uid(0)), ended.fence(&uid(last))), (None, Some(Generation(2))));
        ended.remember(&uid(last), Generation(3));
        assert_eq!((ended.0.len(), ended.fence(&uid(last))), (REMEMBERED, Some(Generation(3))), "each once");
    }
}
