//! What an agent says that it holds, against what the store knows: a store that was lost or restored takes up again
//! what lives, and no agent's generation stays ahead of the store's, or nothing could be published over it.

use crate::{Store, StoreError, Topic, environments};
use jiff::Timestamp;
use lapdev_api::{
    name::{ClusterName, Generation, Uid},
    record::{EnvironmentRecord, Evidence, Life},
    wire::Held,
};

/// What became of an environment that an agent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// The store knew it in this cluster. Where the agent was ahead (the store was restored from a copy), its record
    /// now has a newer generation; where it was [`Life::Closed`], it is [`Life::Closing`] again: something is left.
    Known,
    /// The store did not; there is now a record of it, without a bundle: live, or closing where the cluster was told so.
    Adopted,
    /// It is placed in another cluster, or its generation is absurd: it is not this agent's to hold.
    Refused,
}

/// Above this, counting on might overflow. No control plane of ours gets there.
const ABSURD: Generation = Generation(1 << 62);

impl Store {
    /// Takes note of one environment that the agent of `cluster` holds.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn adopt(&self, cluster: &ClusterName, held: &Held, now: Timestamp) -> Result<Adopted, StoreError> {
        let attempted = "take note of what an agent holds";
        if held.generation >= ABSURD {
            return Ok(Adopted::Refused);
        }
        let mut transaction = self.begin(attempted).await?;
        let known = environments::find(&mut transaction, &held.identity.uid).await?;
        let (adopted, record) = match known {
            None => (Adopted::Adopted, Some(adopted_record(cluster, held, now))),
            Some(known) if known.cluster != *cluster => (Adopted::Refused, None),
            Some(known) => (Adopted::Known, caught_up(&known, held, now)),
        };
        if let Some(record) = record {
            environments::write(&mut transaction, &record).await?;
            self.commit(attempted, transaction, Some(Topic::Desired)).await?;
        }
        Ok(adopted)
    }

    /// An agent says that everything of a closing environment is gone: it is closed. Says whether that changed
    /// anything; an older tombstone's confirmation, or one of another cluster's agent, does not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn confirm_gone(
        &self,
        cluster: &ClusterName,
        uid: &Uid,
        generation: Generation,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let attempted = "close an environment";
        let mut transaction = self.begin(attempted).await?;
        let Some(mut record) = environments::find(&mut transaction, uid).await? else { return Ok(false) };
        let Life::Closing { evidence, .. } = record.life else { return Ok(false) };
        if record.cluster != *cluster || generation < record.generation {
            return Ok(false);
        }
        record.life = Life::Closed { evidence, at };
        environments::write(&mut transaction, &record).await?;
        self.commit(attempted, transaction, Some(Topic::Desired)).await?;
        Ok(true)
    }
}

/// All that is known of an environment that only its agent knew. Its digest stays out: the store has no such bundle.
fn adopted_record(cluster: &ClusterName, held: &Held, now: Timestamp) -> EnvironmentRecord {
    EnvironmentRecord {
        identity: held.identity.clone(),
        cluster: cluster.clone(),
        namespace: held.namespace.clone(),
        owner: None,
        life: told(held, now).unwrap_or(Life::Live),
        generation: held.generation,
        digest: None,
        first_seen: now,
        last_change: now,
        expires_at: None,
        declaration: None,
        head: None,
        source: None,
        pull_requests: Vec::new(),
        reasons: Vec::new(),
        previews: Vec::new(),
        problems: Vec::new(),
    }
}

/// The end that the cluster was told of before the store was lost or put back. It is under way there, and a tombstone
/// is never taken back.
fn told(held: &Held, now: Timestamp) -> Option<Life> {
    let evidence = Evidence::Told { words: held.ended.clone()? };
    Some(Life::Closing { evidence, at: now })
}

/// The record that the agent's word asks for, if it asks for a change.
fn caught_up(known: &EnvironmentRecord, held: &Held, now: Timestamp) -> Option<EnvironmentRecord> {
    let mut record = known.clone();
    match (&known.life, told(held, now)) {
        (Life::Closed { evidence, at }, _) => {
            record.life = Life::Closing { evidence: evidence.clone(), at: *at };
        }
        (Life::Live | Life::Queued { .. }, Some(told)) => {
            (record.life, record.digest) = (told, None);
            record.problems.clear();
        }
        (Life::Live | Life::Queued { .. } | Life::Closing { .. }, _) => {}
    }
    record.generation = match record.life {
        _ if held.ended.is_some() => known.generation.max(held.generation),
        // The agent's newer state gives way to ours, unless it is the same.
        Life::Live if known.digest.is_some() && known.digest != held.digest => newer(known.generation, held.generation),
        Life::Closing { .. } | Life::Closed { .. } => newer(known.generation, held.generation),
        Life::Live | Life::Queued { .. } => known.generation.max(held.generation),
    };
    (record != *known).then_some(record)
}

/// `ours`, raised above `theirs` where theirs is ahead. A tombstone of the same generation is one that the agent has.
fn newer(ours: Generation, theirs: Generation) -> Generation {
    if theirs > ours { theirs.next() } else { ours }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, at, bundle, cluster, record, uid};
    use crate::{Desired, Publication};
    use lapdev_api::{digest::Digest, wire::Assignment};

    #[tokio::test]
    async fn a_store_that_was_lost_takes_up_again_what_an_agent_holds_and_deletes_nothing() {
        let (_folder, store) = sample::store().await;
        let held = sample::held(&record(1, 0), 7, Some(bundle(1).0));
        assert_eq!(store.adopt(&cluster(), &held, at(5)).await.expect("adopted"), Adopted::Adopted);
        let adopted = store.environment(&uid(1)).await.expect("read").expect("adopted");
        assert_eq!((&adopted.life, adopted.generation, adopted.digest), (&Life::Live, Generation(7), None));
        assert_eq!(adopted.identity, held.identity);
        assert_eq!(store.desired(&cluster()).await.expect("read"), []);
        let watch = store.watch(Topic::Desired);
        assert_eq!(store.adopt(&cluster(), &held, at(6)).await.expect("known"), Adopted::Known);
        assert_eq!(store.environment(&uid(1)).await.expect("read"), Some(adopted));
        assert!(!watch.has_changed().expect("open"), "nothing changed");
    }

    #[tokio::test]
    async fn an_agent_has_no_say_over_another_clusters_environment() {
        let (_folder, store) = sample::store().await;
        let closing =
            EnvironmentRecord { life: Life::Closing { evidence: sample::evidence(), at: at(1) }, ..record(1, 2) };
        store.publish(Publication { records: vec![closing.clone()], bundles: vec![] }).await.expect("published");
        let other: ClusterName = "other".parse().expect("legal");
        let held = sample::held(&closing, 9, None);
        assert_eq!(store.adopt(&other, &held, at(5)).await.expect("asked"), Adopted::Refused);
        assert!(!store.confirm_gone(&other, &uid(1), Generation(2), at(5)).await.expect("asked"));
        assert!(!store.confirm_gone(&cluster(), &uid(1), Generation(1), at(5)).await.expect("an older tombstone"));
        assert_eq!(store.environment(&uid(1)).await.expect("read"), Some(closing));
        let absurd = sample::held(&record(2, 0), u64::MAX, None);
        assert_eq!(store.adopt(&cluster(), &absurd, at(5)).await.expect("asked"), Adopted::Refused);
    }

    #[tokio::test]
    async fn what_is_gone_is_closed_and_told_again_to_whoever_still_holds_it() {
        let (_folder, store) = sample::store().await;
        let evidence = sample::evidence();
        let closing =
            EnvironmentRecord { life: Life::Closing { evidence: evidence.clone(), at: at(1) }, ..record(1, 2) };
        store.publish(Publication { records: vec![closing.clone()], bundles: vec![] }).await.expect("published");
        assert!(store.confirm_gone(&cluster(), &uid(1), Generation(2), at(5)).await.expect("closed"));
        assert!(!store.confirm_gone(&cluster(), &uid(1), Generation(2), at(6)).await.expect("closed before"));
        let closed = store.environment(&uid(1)).await.expect("read").expect("kept");
        assert_eq!(closed.life, Life::Closed { evidence: evidence.clone(), at: at(5) });
        assert_eq!(store.desired(&cluster()).await.expect("read"), []);
        // The cluster was restored from a copy, say.
        assert_eq!(
            store.adopt(&cluster(), &sample::held(&closed, 4, None), at(9)).await.expect("known"),
            Adopted::Known
        );
        let evidence = evidence.to_string();
        let told = Desired::Tombstone { uid: uid(1), generation: Generation(5), evidence };
        assert_eq!(store.desired(&cluster()).await.expect("read"), [told]);
    }

    /// The agent goes on removing it, so it must not be taken for living, nor begun anew beside what is left.
    #[tokio::test]
    async fn an_end_that_the_cluster_was_told_of_is_not_taken_back_by_a_store_that_does_not_know_it() {
        let (_folder, store) = sample::store().await;
        let (digest, bytes) = bundle(1);
        let restored = EnvironmentRecord { digest: Some(digest), ..record(1, 3) };
        let publication = Publication { records: vec![restored.clone()], bundles: vec![(digest, bytes)] };
        store.publish(publication).await.expect("published");
        for (number, known) in [(1, Adopted::Known), (2, Adopted::Adopted)] {
            let ended = Some("pull request #7 closed".to_owned());
            let held = Held { ended, ..sample::held(&record(number, 0), 6, Some(digest)) };
            assert_eq!(store.adopt(&cluster(), &held, at(5)).await.expect("asked"), known);
            let adopted = store.environment(&uid(number)).await.expect("read").expect("kept");
            let Life::Closing { evidence, .. } = adopted.life else { panic!("{adopted:?}") };
            assert_eq!((evidence.to_string().as_str(), adopted.digest), ("pull request #7 closed", None));
        }
        let evidence = "pull request #7 closed".to_owned();
        let tombstone =
            |number| Desired::Tombstone { uid: uid(number), generation: Generation(6), evidence: evidence.clone() };
        assert_eq!(store.desired(&cluster()).await.expect("read"), [tombstone(1), tombstone(2)]);
        assert!(store.confirm_gone(&cluster(), &uid(2), Generation(6), at(9)).await.expect("closed"));
    }

    #[tokio::test]
    async fn a_restored_store_wins_over_a_newer_agent() {
        let (_folder, store) = sample::store().await;
        let (digest, bytes) = bundle(1);
        let live = EnvironmentRecord { digest: Some(digest), ..record(1, 3) };
        let publication = Publication { records: vec![live.clone()], bundles: vec![(digest, bytes)] };
        store.publish(publication).await.expect("published");
        let expect = async |held: u64, holds: Option<Digest>, generation: u64| {
            store.adopt(&cluster(), &sample::held(&live, held, holds), at(9)).await.expect("known");
            let assign = Desired::Assign(Assignment { uid: uid(1), generation: Generation(generation), digest });
            assert_eq!(store.desired(&cluster()).await.expect("read"), [assign], "held {held}");
        };
        expect(2, None, 3).await;
        expect(3, Some(digest), 3).await;
        expect(8, Some(digest), 8).await;
        expect(9, Some(bundle(2).0), 10).await;
    }
}
