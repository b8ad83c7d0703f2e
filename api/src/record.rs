//! What the control plane keeps of an environment: the ledger entry that the reconciler writes and the hub reads.

use crate::{
    bundle::{DialTarget, Identity},
    digest::Digest,
    kinds::Access,
    name::{ClusterName, Commit, Generation, Namespace, Uid},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One life of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRecord {
    /// What it is.
    pub identity: Identity,
    /// Where it is placed.
    pub cluster: ClusterName,
    /// The namespace that its objects are in.
    pub namespace: Namespace,
    /// Whose, if anybody's.
    pub owner: Option<String>,
    /// Alive or not.
    pub life: Life,
    /// Counts what was published.
    pub generation: Generation,
    /// What was last published; none before the first time.
    pub digest: Option<Digest>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When its branch or file last moved.
    pub last_change: Timestamp,
    /// When its ttl ends.
    pub expires_at: Option<Timestamp>,
    /// Digest of the file that declares it; none for a derived one. A changed file begins its ttl anew.
    #[serde(default)]
    pub declaration: Option<Digest>,
    /// Of a Branch: the commit that it was rendered from.
    pub head: Option<Commit>,
    /// The commit of the config repository, or of the catalog's own source, that it was rendered from.
    pub source: Option<Commit>,
    /// The pull requests that keep it alive and carry its comment.
    pub pull_requests: Vec<u64>,
    /// Why it exists and why each workload runs, in the plan's words.
    pub reasons: Vec<Reason>,
    /// What people may open.
    pub previews: Vec<PreviewRecord>,
    /// What is not as it should be, in the plan's or the renderer's words; the last good state stays published.
    pub problems: Vec<Problem>,
}

/// Whether an environment lives. Its end carries the evidence, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Life {
    /// Declared or triggered, but waits: for a place under the limit, or for an approval.
    Queued {
        /// For what, in one sentence.
        reason: String,
    },
    /// Published, or about to be.
    Live,
    /// Tombstoned; its cluster still holds something of it.
    Closing {
        /// Why it ended.
        evidence: Evidence,
        /// When.
        at: Timestamp,
    },
    /// Nothing of it is left.
    Closed {
        /// Why it ended.
        evidence: Evidence,
        /// When.
        at: Timestamp,
    },
}

/// The proof that an environment ended. There is no other way to say that it did: an error, an empty answer or a
/// partial listing has no variant here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Evidence {
    /// The forge says that every pull request of it is closed or merged, and no branch trigger matches.
    PullRequestClosed {
        /// Which.
        numbers: Vec<u64>,
    },
    /// A complete listing of the repository has no such branch.
    RefGone {
        /// The branch.
        #[serde(rename = "ref")]
        branch: String,
    },
    /// No trigger of the catalog matches any more, as a commit of the config repository that loads says.
    TriggerGone {
        /// The config repository's commit.
        commit: Commit,
    },
    /// Its file is gone in a commit of the config repository that otherwise loads.
    FileGone {
        /// That commit.
        commit: Commit,
    },
    /// Its ttl ended.
    TtlEnded {
        /// When.
        at: Timestamp,
    },
    /// A commit of the config repository places it elsewhere or makes something else of it: this life ends, and a new
    /// one begins there.
    Moved {
        /// That commit.
        commit: Commit,
    },
    /// Another life of the same environment, which a cluster already held, was adopted after the store was lost.
    Superseded {
        /// The life that stays.
        by: Uid,
    },
    /// The control plane had told its cluster so, for a reason that only the cluster remembers now that the store was lost
    /// or put back.
    Told {
        /// The evidence of then, in words.
        words: String,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullRequestClosed { numbers } => {
                let list: Vec<_> = numbers.iter().map(|n| format!("#{n}")).collect();
                write!(f, "pull request {} closed", list.join(", "))
            }
            Self::RefGone { branch } => write!(f, "branch {branch} is gone"),
            Self::TriggerGone { commit } => {
                write!(f, "no trigger matches since config commit {commit}")
            }
            Self::FileGone { commit } => write!(f, "its file is gone since config commit {commit}"),
            Self::TtlEnded { at } => write!(f, "its ttl ended at {at}"),
            Self::Moved { commit } => write!(f, "config commit {commit} places it elsewhere"),
            Self::Superseded { by } => write!(f, "its earlier life {by} was adopted"),
            Self::Told { words } => f.write_str(words),
        }
    }
}

/// Why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The workload that it is about; none: the environment.
    pub workload: Option<String>,
    /// In one sentence.
    pub text: String,
}

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `RenderFailed`, `DeletionHeld`, `ImageMissing`, … in CamelCase.
    pub reason: String,
    /// In one sentence that says what to do next.
    pub message: String,
}

/// A service of an environment that people may open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewRecord {
    /// The Service, as the catalog names it.
    pub service: String,
    /// `<service>--<environment>.<previewDomain>`, lower case, without port.
    pub host: String,
    /// Who may open it.
    pub access: Access,
    /// Path prefix → where requests below it go; `/` is always there. The longest prefix wins.
    pub routes: Vec<(String, DialTarget)>,
    /// Whether the branch itself answers, or the baseline does.
    pub branch: bool,
}
