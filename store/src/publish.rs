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
        Life::Live | Life::Queued { .. } => assigned && next.digest.is_some() && next.digest != known.digest,
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
