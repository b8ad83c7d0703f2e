//! What an agent has still to be told: a pure comparison of what it should hold with what it holds or was told.

use lapdev_api::{
    digest::Digest,
    name::{Generation, Uid},
    wire::{Assignment, Held, HubMessage},
};
use lapdev_store::Desired;
use std::collections::BTreeMap;

/// What the agent holds or was told in this session.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<Uid, State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Assigned(Generation, Digest),
    Ended(Generation),
}

impl Said {
    /// What the agent's hello makes unnecessary to say.
    pub(super) fn from_held(held: &[Held]) -> Self {
        let state = |held: &Held| Some((held.identity.uid.clone(), State::Assigned(held.generation, held.digest?)));
        Self(held.iter().filter_map(state).collect())
    }

    /// What differs, to be said now. Absence is never said: an environment that is not desired stays as it is.
    pub(super) fn due(&mut self, desired: &[Desired]) -> Vec<HubMessage> {
        let mut said = BTreeMap::new();
        let mut due = Vec::new();
        for desired in desired {
            let (uid, state, message) = step(desired);
            if self.0.get(uid) != Some(&state) {
                due.push(message);
            }
            said.insert(uid.clone(), state);
        }
        // Forgetting what is no longer desired keeps this as small as the cluster is.
        self.0 = said;
        due
    }

    /// Whether one of the present assignments is of this bundle.
    pub(super) fn names(&self, digest: &Digest) -> bool {
        self.0.values().any(|state| matches!(state, State::Assigned(_, named) if named == digest))
    }
}

fn step(desired: &Desired) -> (&Uid, State, HubMessage) {
    match desired {
        Desired::Assign(assignment @ Assignment { uid, generation, digest }) => {
            (uid, State::Assigned(*generation, *digest), HubMessage::Assign(assignment.clone()))
        }
        Desired::Tombstone { uid, generation, evidence } => {
            let (generation, evidence) = (*generation, evidence.clone());
            (uid, State::Ended(generation), HubMessage::Tombstone { uid: uid.clone(), generation, evidence })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::{bundle::Identity, kinds::EnvironmentType};

    fn uid(letter: char) -> Uid {
        letter.to_string().repeat(16).parse().expect("legal")
    }

    fn assign(letter: char, generation: u64, content: &[u8]) -> Desired {
        let (generation, digest) = (Generation(generation), Digest::of(content));
        Desired::Assign(Assignment { uid: uid(letter), generation, digest })
    }

    fn tombstone(letter: char, generation: u64) -> Desired {
        Desired::Tombstone { uid: uid(letter), generation: Generation(generation), evidence: "gone".to_owned() }
    }

    fn held(letter: char, generation: u64, content: Option<&[u8]>) -> Held {
        let identity = Identity {
            uid: uid(letter),
            name: "staging".parse().expect("legal"),
            environment_type: EnvironmentType::Shared,
            catalog: "shop".parse().expect("legal"),
            branch: None,
        };
        let namespace = "lapdev-env-staging".parse().expect("legal");
        Held { identity, namespace, generation: Generation(generation), digest: content.map(Digest::of), ended: None }
    }

    #[test]
    fn only_what_differs_is_said_and_only_once() {
        let mut said = Said::from_held(&[held('a', 1, Some(b"a")), held('b', 1, Some(b"old")), held('c', 1, None)]);
        let desired = [
            assign('a', 1, b"a"),
            assign('b', 2, b"new"),
            assign('c', 1, b"c"),
            assign('d', 1, b"d"),
            tombstone('e', 3),
        ];
        let first: Vec<_> = desired[1..].iter().map(|d| step(d).2).collect();
        assert_eq!(said.due(&desired), first);
        assert_eq!(said.due(&desired), []);
    }

    #[test]
    fn a_newer_generation_of_the_same_bundle_is_said() {
        let mut said = Said::from_held(&[held('a', 1, Some(b"a"))]);
        assert_eq!(said.due(&[assign('a', 2, b"a")]).len(), 1);
    }

    #[test]
    fn absence_says_nothing_and_a_tombstone_follows_an_assignment() {
        let mut said = Said::from_held(&[held('a', 1, Some(b"a"))]);
        assert_eq!(said.due(&[]), []);
        assert_eq!(said.due(&[assign('a', 1, b"a")]).len(), 1);
        assert_eq!(said.due(&[tombstone('a', 2)]).len(), 1);
    }

    #[test]
    fn an_agent_may_ask_for_what_it_was_assigned_and_nothing_else() {
        let mut said = Said::default();
        said.due(&[assign('a', 1, b"a")]);
        assert!(said.names(&Digest::of(b"a")));
        assert!(!said.names(&Digest::of(b"another cluster's")));
    }
}
