//! Publishing: what the reconciler decided becomes the desired state, all of it or nothing, behind fences that no
//! planner's mistake gets through.

use crate::{Store, StoreError, Topic, bundles, environments};
use lapdev_api::{
    digest::Digest,
    name::{ClusterName, Generation, Uid},
    record::{EnvironmentRecord, Life},
};
use sqlx::SqliteConnection;

/// What the reconciler publishes at once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Publication {
    /// New or changed environments. One that ends is a record with [`Life::Closing`].
    pub records: Vec<EnvironmentRecord>,
    /// The bundles that those records name, unless the store has them: canonical JSON by its digest.
    pub bundles: Vec<(Digest, Vec<u8>)>,
}

/// Why nothing of a publication was stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What was planned is older than what is published.
    #[error("environment {uid}: generation {refused} is older than the published {published}; plan anew")]
    OlderGeneration {
        /// Which environment.
        uid: Uid,
        /// What is published.
        published: Generation,
        /// What was to be.
        refused: Generation,
    },
    /// A generation means one state for ever.
    #[error("environment {uid}: generation {generation} is published already, with another state; use the next one")]
    ReusedGeneration {
        /// Which environment.
        uid: Uid,
        /// The generation.
        generation: Generation,
    },
    /// A life that ended does not come back; a new one has a new uid.
    #[error("environment {uid} has ended and cannot live again; a new life needs a new uid")]
    Ended {
        /// Which environment.
        uid: Uid,
    },
    /// What its cluster holds would be left behind.
    #[error("environment {uid} is placed in cluster {placed} and cannot move to {refused}; close it and use a new uid")]
    Moved {
        /// Which environment.
        uid: Uid,
        /// Where it is.
        placed: ClusterName,
        /// Where it was to be.
        refused: ClusterName,
    },
    /// A record names a bundle that is neither stored nor published with it.
    #[error("environment {uid}: its bundle {digest} is neither stored nor part of the publication")]
    MissingBundle {
        /// Which environment.
        uid: Uid,
        /// The bundle.
        digest: Digest,
    },
    /// A bundle's bytes are not those that its digest says.
    #[error("a bundle was to be stored as {digest}, but its bytes have the digest {actual}")]
    WrongDigest {
        /// What was said.
        digest: Digest,
        /// What is.
        actual: Digest,
    },
    /// No agent would take it.
    #[error("the bundle {digest} has {size} bytes; agents take at most {max}", max = lapdev_api::wire::MAX_BUNDLE)]
    BundleTooLarge {
        /// Which bundle.
        digest: Digest,
        /// Bytes of canonical JSON.
        size: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores a publication in one transaction, and deletes bundles that nobody needs any more. A record that is as it
    /// was writes nothing; if none changed, nobody is notified.
    ///
    /// # Errors
    ///
    /// When a fence refuses a record or a bundle, or the database fails: then nothing of it is stored.
    pub async fn publish(&self, publication: Publication) -> Result<(), PublishError> {
        let attempted = "publish";
        let Publication { records, bundles } = publication;
        let packed = bundles::pack(bundles).await?;
        let mut transaction = self.begin(attempted).await?;
        bundles::insert(&mut transaction, &packed).await?;
        let mut changed = false;
        for record in &records {
            changed |= upsert(&mut transaction, record).await?;
        }
        if !changed {
            return Ok(());
        }
        bundles::collect_garbage(&mut transaction).await?;
        Ok(self.commit(attempted, transaction, Some(Topic::Desired)).await?)
    }
}

async fn upsert(connection: &mut SqliteConnection, record: &EnvironmentRecord) -> Result<bool, PublishError> {
    if let Some(known) = environments::find(connection, &record.identity.uid).await? {
        if known == *record {
            return Ok(false);
        }
        fence(&known, record)?;
    }
    if let (Life::Live | Life::Queued { .. }, Some(digest)) = (&record.life, record.digest)
        && !bundles::exists(connection, &digest).await?
    {
        return Err(PublishError::MissingBundle { uid: record.identity.uid.clone(), digest });
    }
    environments::write(connection, record).await?;
    Ok(true)
}

/// Whether `known` may become `next`.
fn fence(known: &EnvironmentRecord, next: &EnvironmentRecord) -> Result<(), PublishError> {
    let uid = || next.identity.uid.clone();
    if known.cluster != next.cluster {
        let (placed, refused) = (known.cluster.clone(), next.cluster.clone());
        return Err(PublishError::Moved { uid: uid(), placed, refused });
    }
    if stage(&next.life) < stage(&known.life) {
        return Err(PublishError::Ended { uid: uid() });
    }
    if next.generation < known.generation {
        let (published, refused) = (known.generation, next.generation);
        return Err(PublishError::OlderGeneration { uid: uid(), published, refused });
    }
    if next.generation == known.generation && says_otherwise(known, next) {
        return Err(PublishError::ReusedGeneration { uid: uid(), generation: next.generation });
    }
    Ok(())
}

/// Whether an agent that holds the generation from `known` would be told something else by `next`.
fn says_otherwise(known: &EnvironmentRecord, next: &EnvironmentRecord) -> bool {
    let assigned = known.generation > Generation::default() && stage(&known.life) == 0;
    match next.life {
        // Without a bundle it would be told nothing now, but could be told to end next, and that in the same generation.
        Life::Live | Life::Queued { .. } => assigned && next.digest != known.digest,
        Life::Closing { .. } => assigned && known.digest.is_some(),
        Life::Closed { .. } => false,
    }
}

/// A life only goes on; it may wait and run by turns until it ends.
fn stage(life: &Life) -> u8 {
    match life {
        Life::Queued { .. } | Life::Live => 0,
        Life::Closing { .. } => 1,
        Life::Closed { .. } => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Which;
    use crate::sample::{self, at, bundle, record, uid};

    fn live(number: u8, generation: u64, digest: Digest) -> EnvironmentRecord {
        EnvironmentRecord { digest: Some(digest), ..record(number, generation) }
    }

    fn closing(number: u8, generation: u64) -> EnvironmentRecord {
        EnvironmentRecord {
            life: Life::Closing { evidence: sample::evidence(), at: at(1) },
            ..record(number, generation)
        }
    }

    #[tokio::test]
    async fn each_fence_says_which_it_is_and_lets_nothing_of_the_publication_through() {
        let (_folder, store) = sample::store().await;
        let (one, two) = (bundle(1), bundle(2));
        let records = vec![live(1, 5, one.0), closing(2, 5)];
        store.publish(Publication { records, bundles: vec![one.clone()] }).await.expect("published");
        let before = store.environments(Which::All).await.expect("read");
        let watch = store.watch(Topic::Desired);
        let mut elsewhere = live(1, 6, one.0);
        elsewhere.cluster = "other".parse().expect("legal");
        for (refused, words) in [
            (live(1, 4, one.0), "generation 4 is older than the published 5"),
            (live(1, 5, two.0), "generation 5 is published already"),
            (closing(1, 5), "generation 5 is published already"),
            (EnvironmentRecord { digest: None, ..live(1, 5, one.0) }, "generation 5 is published already"),
            (record(2, 9), "has ended"),
            (elsewhere, "cannot move to other"),
            (live(1, 6, bundle(3).0), "neither stored nor part"),
        ] {
            let records = vec![record(3, 1), refused];
            let error = store.publish(Publication { records, bundles: vec![two.clone()] }).await.expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(store.environments(Which::All).await.expect("read"), before, "{words}");
            assert_eq!(store.bundle(&two.0).await.expect("read"), None, "{words}");
        }
        let lie = Publication { records: vec![live(1, 6, two.0)], bundles: vec![(two.0, one.1.clone())] };
        assert!(matches!(store.publish(lie).await, Err(PublishError::WrongDigest { .. })));
        assert!(!watch.has_changed().expect("open"));
    }

    #[tokio::test]
    async fn a_bundle_is_kept_for_as_long_as_something_living_needs_it() {
        let (_folder, store) = sample::store().await;
        let (one, two) = (bundle(1), bundle(2));
        let records = vec![live(1, 1, one.0), live(2, 1, one.0)];
        store.publish(Publication { records, bundles: vec![one.clone(), one.clone()] }).await.expect("published");
        let publish = async |records| {
            store.publish(Publication { records, bundles: vec![two.clone()] }).await.expect("published");
            let kept = |digest| store.bundle_gzip(digest);
            [kept(&one.0).await.expect("read").is_some(), kept(&two.0).await.expect("read").is_some()]
        };
        assert_eq!(publish(vec![live(1, 2, two.0)]).await, [true, true]);
        assert_eq!(publish(vec![closing(2, 2)]).await, [false, true]);
        assert_eq!(publish(vec![closing(1, 3)]).await, [false, false]);
    }

    #[tokio::test]
    async fn the_same_once_more_writes_nothing_and_wakes_nobody() {
        let (folder, store) = sample::store().await;
        let (digest, bytes) = bundle(1);
        let publication = Publication { records: vec![live(1, 1, digest)], bundles: vec![(digest, bytes)] };
        let watch = store.watch(Topic::Desired);
        store.publish(publication.clone()).await.expect("published");
        let log = || std::fs::metadata(folder.path().join("lapdev.db-wal")).expect("there").len();
        let written = log();
        store.publish(publication).await.expect("published");
        assert_eq!((log(), *watch.borrow()), (written, 1));
        let problem = lapdev_api::record::Problem { reason: "ImageMissing".into(), message: "build it".into() };
        let with_problem = EnvironmentRecord { problems: vec![problem], ..live(1, 1, digest) };
        store.publish(Publication { records: vec![with_problem], bundles: vec![] }).await.expect("published");
        assert!(log() > written);
        assert_eq!(*watch.borrow(), 2);
        assert_eq!(store.environment(&uid(1)).await.expect("read").expect("there").problems.len(), 1);
    }
}
