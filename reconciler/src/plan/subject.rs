//! Who an environment is, apart from any one life of it, and the ledger's lives in that order.

use lapdev_api::{
    bundle::Identity,
    name::{BranchRef, CatalogName, ClusterName, EnvironmentName, Namespace, RepositoryId, Uid},
    record::{EnvironmentRecord, Life},
};
use std::collections::BTreeMap;

/// The identity of an environment. Its lives follow one another; each has a uid of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A Personal or Shared one: its name.
    Own(EnvironmentName),
    /// A Branch: one per catalog, repository id and ref.
    Branch {
        /// The catalog.
        catalog: CatalogName,
        /// The repository's rename-proof id.
        repository: RepositoryId,
        /// The branch.
        branch: BranchRef,
    },
}

impl Subject {
    /// Whose life this is.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        match &identity.branch {
            None => Self::Own(identity.name.clone()),
            Some(branch) => Self::Branch {
                catalog: identity.catalog.clone(),
                repository: branch.repository_id.clone(),
                branch: branch.branch.clone(),
            },
        }
    }
}

/// Whether a record is queued or live.
pub(super) fn is_living(record: &EnvironmentRecord) -> bool {
    matches!(record.life, Life::Queued { .. } | Life::Live)
}

/// The ledger by subject.
pub(super) struct Lives<'a> {
    /// The one life that goes on, of each subject that has one.
    pub living: BTreeMap<Subject, &'a EnvironmentRecord>,
    /// Other living ones of the same subject, and the life that stays in their place.
    pub superseded: Vec<(&'a EnvironmentRecord, Uid)>,
    past: BTreeMap<Subject, Vec<&'a EnvironmentRecord>>,
}

impl<'a> Lives<'a> {
    pub fn of(ledger: &'a [EnvironmentRecord]) -> Self {
        let mut lives = Self { living: BTreeMap::new(), superseded: Vec::new(), past: BTreeMap::new() };
        for record in ledger {
            let subject = Subject::of(&record.identity);
            if is_living(record) {
                lives.add_living(subject, record);
            } else {
                lives.past.entry(subject).or_default().push(record);
            }
        }
        lives
    }

    /// Two living lives of one subject arise when the store was lost: one waits to begin, and a cluster still held the
    /// other. The held one stays, since it runs.
    fn add_living(&mut self, subject: Subject, record: &'a EnvironmentRecord) {
        let Some(other) = self.living.insert(subject.clone(), record) else { return };
        let (stays, goes) = if seniority(other) >= seniority(record) { (other, record) } else { (record, other) };
        self.superseded.push((goes, stays.identity.uid.clone()));
        // A third one may already have lost against the one that loses now.
        for (_, by) in &mut self.superseded {
            if *by == goes.identity.uid {
                *by = stays.identity.uid.clone();
            }
        }
        self.living.insert(subject, stays);
    }

    /// The latest life that ended.
    pub fn last_ended(&self, subject: &Subject) -> Option<&'a EnvironmentRecord> {
        self.past.get(subject)?.iter().copied().max_by_key(|record| ended_at(record))
    }

    /// Whether an earlier life still holds objects in this place.
    pub fn still_closing(&self, subject: &Subject, cluster: &ClusterName, namespace: &Namespace) -> bool {
        let here = |record: &&EnvironmentRecord| {
            matches!(record.life, Life::Closing { .. }) && record.cluster == *cluster && record.namespace == *namespace
        };
        self.past.get(subject).is_some_and(|records| records.iter().any(here))
    }
}

/// Adopted and not published since; then the longest history; then any order, as long as it is always the same.
fn seniority(record: &EnvironmentRecord) -> (bool, lapdev_api::name::Generation, std::cmp::Reverse<&Uid>) {
    let adopted = record.digest.is_none() && record.generation.0 > 0;
    (adopted, record.generation, std::cmp::Reverse(&record.identity.uid))
}

fn ended_at(record: &EnvironmentRecord) -> Option<jiff::Timestamp> {
    match &record.life {
        Life::Closing { at, .. } | Life::Closed { at, .. } => Some(*at),
        Life::Queued { .. } | Life::Live => None,
    }
}
