//! The plan: which environments should be, and which end, as a pure function of the config, of what was seen, of the
//! ledger and of the clock. It reads nothing and writes nothing; `publish` makes it so.
//!
//! Level-triggered: it never asks what happened, only what is. Two passes over the same input plan the same, and a
//! delivery that came twice, late or not at all changes when a pass runs, never what it plans.
//!
//! In order: `want` says what should be, `verdict` judges each living environment that nothing asks for, `settle` joins
//! a want with its life, `hold` stops mass deletions, `admit` lets in what the limits allow. Evidence is made in two
//! places: in `verdict` for what nothing asks for, and in `settle` for what something does ask for and that ends all the
//! same (moved, its ttl over, its branch gone under its file) or that is one life too many.
//!
//! - **Doubt keeps.** Whatever could not be seen completely leaves its environments as they are, with a problem each.
//! - **A base ends last.** While a branch of it lives or is still being removed, a base stays, whatever its own evidence
//!   says: it would take the branches along without any evidence of theirs.
//! - **A new life begins when the old one is gone.** A pull request that is reopened while its environment is still
//!   being removed is queued until then; the new life has a uid of its own.
//! - **Nothing new where an agent may hold it already.** Until a cluster's agent has said what it holds, what is new there
//!   waits: a store that was lost takes up the lives that go on, and must not begin others beside them.
//! - **A ttl that ended is not undone by the trigger that still matches,** only by a push, a changed file or a longer ttl.

mod admit;
#[cfg(test)]
pub(crate) mod fixture;
mod hold;
mod observed;
#[cfg(test)]
mod property;
mod settle;
mod subject;
#[cfg(test)]
mod tests;
mod trigger;
mod verdict;
mod want;

pub(crate) use observed::fork_number;
pub use observed::{Confirmation, Observed, OpenPullRequests, PullRequest, Refs, Repository};
pub use subject::Subject;

use crate::load::Config;
use jiff::Timestamp;
use lapdev_api::{
    kinds::Override,
    name::{Commit, RepositoryName, Uid},
    record::{EnvironmentRecord, Problem},
    view::HeldView,
};
use std::collections::BTreeSet;

/// The guard against mass deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A pass that would end more than this share of the living environments, in per cent, is held …
    pub deletion_share: u8,
    /// … if it would end at least so many.
    pub deletion_minimum: usize,
    /// The config commit at which held deletions may go.
    pub release_deletions_at: Option<Commit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deletion_share: 30, deletion_minimum: 3, release_deletions_at: None }
    }
}

/// What should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every environment that lives or ends now, by name. What is not here stays as the ledger has it.
    pub environments: Vec<Planned>,
    /// Deletions that wait for a person.
    pub held: Option<HeldView>,
    /// What belongs to no single environment.
    pub problems: Vec<Problem>,
    /// Pull requests to ask the forge about, one by one. With the answers in [`Repository::confirmations`] the plan of
    /// the same pass can say more.
    pub asks: BTreeSet<(RepositoryName, u64)>,
}

/// One environment of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its ledger entry as it should be. Generation, digest, previews and the workloads' reasons are still those of what
    /// was last published, unless it ends.
    pub record: EnvironmentRecord,
    /// What to do for it.
    pub work: Work,
}

/// What to do for a planned environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Render it, and publish what comes out.
    Render {
        /// The changes that its file asks for.
        overrides: Vec<Override>,
        /// The revision of the catalog's source that it keeps (`sync: manual`); none: it follows.
        pin: Option<Commit>,
    },
    /// Write the ledger entry only; what was last published stays.
    Keep,
}

/// Plans. `fresh` gives a uid that was never used, for each new life.
pub fn plan(
    config: &Config,
    observed: &Observed,
    ledger: &[EnvironmentRecord],
    now: Timestamp,
    limits: &Limits,
    fresh: &mut dyn FnMut() -> Uid,
) -> Plan {
    let mut report = Reporter::default();
    let wants = want::wants(config, observed, &mut report);
    let lives = subject::Lives::of(ledger);
    let mut pass = settle::Pass { config, observed, now, report };
    let settled = pass.settle(wants, &lives);
    let (settled, held) = settle::guard(settled, observed, limits);
    let settled = settle::bases_last(settled, ledger);
    let environments = admit::admit(config, observed, settled, &lives, now, fresh);
    let Reporter { problems, asks } = pass.report;
    Plan { environments, held, problems, asks }
}

/// Collects what belongs to no single environment.
#[derive(Debug, Default)]
struct Reporter {
    problems: Vec<Problem>,
    asks: BTreeSet<(RepositoryName, u64)>,
}

impl Reporter {
    fn problem(&mut self, reason: &str, message: String) {
        let problem = problem(reason, message);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn problem(reason: &str, message: impl Into<String>) -> Problem {
    Problem { reason: reason.to_owned(), message: message.into() }
}

fn unreadable(repository: &RepositoryName, why: &str) -> String {
    format!("repository {repository} cannot be read ({why}); its environments stay as they are")
}
