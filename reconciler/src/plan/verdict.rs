//! What becomes of a living environment that nothing asks for any more. (That what is asked for ends as well, by its ttl
//! for one, is found in `settle`.)
//!
//! Each way to an end rests on something that was positively seen. Whatever leaves room for another explanation ends
//! in [`Verdict::Doubt`]: the environment stays, and says why.

use super::{
    observed::{Confirmation, Observed, OpenPullRequests, Repository, fork_number},
    problem, trigger, unreadable,
};
use crate::load::Config;
use lapdev_api::{
    bundle::BranchIdentity,
    kinds::{AppCatalog, Placement, Trigger, TriggerOn},
    name::RepositoryName,
    record::{EnvironmentRecord, Evidence, Problem},
};

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It ends.
    Ends {
        evidence: Evidence,
        /// Whether one edit or one lost answer could bring this about for many at once, so that the guard counts it.
        bulk: bool,
    },
    /// It stays, because its end is not proven.
    Doubt(Problem),
    /// It stays until the forge was asked about these pull requests.
    Ask(Vec<u64>),
}

/// Whether a trigger still asks for a branch.
enum Match {
    No,
    /// It does, or it might: why that is not settled.
    Perhaps(Problem),
}

/// Judges one living record that has no want.
pub(super) fn verdict(config: &Config, observed: &Observed, record: &EnvironmentRecord) -> Verdict {
    match &record.identity.branch {
        None => own(config, observed, record),
        Some(branch) => of_branch(config, observed, record, branch),
    }
}

fn own(config: &Config, observed: &Observed, record: &EnvironmentRecord) -> Verdict {
    let commit = observed.config_commit.clone();
    match config.environments.get(&record.identity.name).map(|file| &file.placement) {
        None => bulk(Evidence::FileGone { commit }),
        Some(Placement::Branch { .. }) => bulk(Evidence::Moved { commit }),
        Some(Placement::Personal { .. } | Placement::Shared { .. }) => Verdict::Doubt(unplaceable()),
    }
}

fn unplaceable() -> Problem {
    problem("Unplaceable", "the config gives it no legal namespace; shorten its name or its cluster's namespacePrefix")
}

fn of_branch(config: &Config, observed: &Observed, record: &EnvironmentRecord, branch: &BranchIdentity) -> Verdict {
    let commit = observed.config_commit.clone();
    let file = FileState::of(config, observed, record, branch);
    if let FileState::Unsettled(doubt) = file {
        return Verdict::Doubt(doubt);
    }
    let Some(catalog) = config.catalogs.get(&record.identity.catalog) else {
        return bulk(file.evidence(commit));
    };
    for trigger in triggers(catalog) {
        if let Match::Perhaps(doubt) = still_matches(trigger, observed, branch) {
            return Verdict::Doubt(doubt);
        }
    }
    // The config may have dropped the repository; `still_matches` knows that none of its others is this one.
    let seen = observed.of(branch).map(|(_, repository)| repository);
    let by_pull_requests = listens_to_pull_requests(catalog, observed, branch);
    match (file, seen) {
        (FileState::Never, Some(repository)) => untriggered(observed, record, branch, repository, by_pull_requests),
        // Without its file a pull request could still ask for it, so those that it had are settled first.
        (file, Some(repository)) if by_pull_requests => match closed(repository, &record.pull_requests) {
            Closed::All => bulk(file.evidence(commit)),
            Closed::Ask(numbers) => Verdict::Ask(numbers),
            Closed::Unproven => Verdict::Doubt(pull_request_unknown(branch)),
        },
        (file, _) => bulk(file.evidence(commit)),
    }
}

/// No trigger matches. What is left is to prove it from what was seen, rather than from what was not.
fn untriggered(
    observed: &Observed,
    record: &EnvironmentRecord,
    branch: &BranchIdentity,
    repository: &Repository,
    by_pull_requests: bool,
) -> Verdict {
    let listed = repository.open().map(|open| open.iter().any(|p| p.identity_ref() == branch.branch));
    // One that is open, though under another identity now, is not closed.
    let numbers = absent(repository, &record.pull_requests);
    if listed == Some(false) && !numbers.is_empty() {
        match closed(repository, &numbers) {
            Closed::All => {
                return Verdict::Ends { evidence: Evidence::PullRequestClosed { numbers }, bulk: false };
            }
            Closed::Ask(numbers) => return Verdict::Ask(numbers),
            Closed::Unproven => {}
        }
    }
    // An open pull request speaks for a branch that a fetch did not find, and an unknown one might be open.
    let speaks_for_it = listed.unwrap_or(!record.pull_requests.is_empty());
    let in_refs = repository.refs.known().map(|branches| branches.contains_key(&branch.branch));
    if in_refs == Some(false) && fork_number(&branch.branch).is_none() {
        if speaks_for_it {
            return Verdict::Doubt(branch_missing(branch));
        }
        return bulk(Evidence::RefGone { branch: branch.branch.to_string() });
    }
    // By a plan's own words it lived without a pull request, so none that went unseen can be what keeps it.
    let lived_by_branch = record.pull_requests.is_empty() && record.reasons.iter().any(|r| r.workload.is_none());
    if !by_pull_requests || listed == Some(true) || lived_by_branch {
        return bulk(Evidence::TriggerGone { commit: observed.config_commit.clone() });
    }
    Verdict::Doubt(pull_request_unknown(branch))
}

fn branch_missing(branch: &BranchIdentity) -> Problem {
    let message = format!(
        "the branch {} was not found, but a pull request of it is open or could not be looked at; push it again, or close \
         the pull request",
        branch.branch
    );
    problem("BranchMissing", message)
}

fn pull_request_unknown(branch: &BranchIdentity) -> Problem {
    let message = format!(
        "no open pull request of {} belongs to it, but the forge did not say that one was closed; delete the branch {} \
         to end it",
        branch.repository, branch.branch
    );
    problem("PullRequestUnknown", message)
}

/// What the forge said about pull requests that the listing no longer has.
enum Closed {
    All,
    Ask(Vec<u64>),
    Unproven,
}

/// Those of them that the listing no longer has. One that is still listed does not match any rule, or the trigger would;
/// it proves nothing and hinders nothing.
fn absent(repository: &Repository, numbers: &[u64]) -> Vec<u64> {
    let open: Vec<u64> = repository.open().unwrap_or_default().iter().map(|pull_request| pull_request.number).collect();
    numbers.iter().copied().filter(|number| !open.contains(number)).collect()
}

fn closed(repository: &Repository, numbers: &[u64]) -> Closed {
    let absent = absent(repository, numbers);
    let unasked: Vec<u64> = absent.iter().copied().filter(|n| !repository.confirmations.contains_key(n)).collect();
    if !unasked.is_empty() {
        return Closed::Ask(unasked);
    }
    let ended = |number: &u64| matches!(repository.confirmations.get(number), Some(Confirmation::Ended));
    if absent.iter().all(ended) { Closed::All } else { Closed::Unproven }
}

/// Whether a file declares this branch, as far as can be known.
enum FileState {
    /// No file ever did.
    Never,
    /// One did, and is gone.
    Gone,
    /// Its file speaks of another branch now.
    Changed,
    /// A file may well mean it, but the id of its repository is not known.
    Unsettled(Problem),
}

impl FileState {
    fn of(config: &Config, observed: &Observed, record: &EnvironmentRecord, branch: &BranchIdentity) -> Self {
        for file in config.environments.values() {
            let Placement::Branch { branch: selector, .. } = &file.placement else { continue };
            let seen = observed.repositories.get(&selector.repository);
            let unknown = seen.is_none_or(|repository| repository.id.is_none());
            if unknown && (selector.branch == branch.branch || file.name == record.identity.name) {
                let why =
                    seen.and_then(|repository| repository.refs.unknown_because()).unwrap_or("it was not looked at");
                return Self::Unsettled(problem("RepositoryUnreadable", unreadable(&selector.repository, why)));
            }
            if selector.repository != branch.repository || selector.branch != branch.branch {
                continue;
            }
            if seen.is_some_and(|repository| repository.id.as_ref() != Some(&branch.repository_id)) {
                return Self::Unsettled(replaced(&selector.repository));
            }
            // It asks for this very environment, so what it lacks is a place.
            if file.catalog == record.identity.catalog {
                return Self::Unsettled(unplaceable());
            }
        }
        let named = config.environments.contains_key(&record.identity.name);
        let declared = record.declaration.is_some() || record.identity.name.as_str() != branch.key.as_str();
        match (declared, named) {
            (false, _) => Self::Never,
            (true, true) => Self::Changed,
            (true, false) => Self::Gone,
        }
    }

    fn evidence(&self, commit: lapdev_api::name::Commit) -> Evidence {
        match self {
            Self::Gone => Evidence::FileGone { commit },
            Self::Changed => Evidence::Moved { commit },
            Self::Never | Self::Unsettled(_) => Evidence::TriggerGone { commit },
        }
    }
}

fn triggers(catalog: &AppCatalog) -> &[Trigger] {
    catalog.branch_environments.as_ref().map_or(&[], |rules| &rules.on)
}

fn listens_to_pull_requests(catalog: &AppCatalog, observed: &Observed, branch: &BranchIdentity) -> bool {
    triggers(catalog).iter().any(|trigger| {
        let repository = observed.repositories.get(&trigger.repository);
        let same = repository.is_some_and(|repository| repository.id.as_ref() == Some(&branch.repository_id));
        same && matches!(trigger.on, TriggerOn::PullRequests(_))
    })
}

fn still_matches(trigger: &Trigger, observed: &Observed, branch: &BranchIdentity) -> Match {
    let unknown = |why: &str| Match::Perhaps(problem("RepositoryUnreadable", unreadable(&trigger.repository, why)));
    let Some(repository) = observed.repositories.get(&trigger.repository) else {
        return unknown("it was not looked at");
    };
    match &repository.id {
        None => return unknown(repository.refs.unknown_because().unwrap_or("its id is not known")),
        Some(id) if *id != branch.repository_id && trigger.repository == branch.repository => {
            return Match::Perhaps(replaced(&trigger.repository));
        }
        Some(id) if *id != branch.repository_id => return Match::No,
        Some(_) => {}
    }
    match &trigger.on {
        TriggerOn::Branches(patterns) => branch_matches(patterns, repository, branch, &unknown),
        TriggerOn::PullRequests(rule) => match &repository.pull_requests {
            OpenPullRequests::Unavailable(why) => Match::Perhaps(problem(
                "PullRequestsUnavailable",
                format!("the pull requests of {} could not be listed ({why}); it stays as it is", trigger.repository),
            )),
            OpenPullRequests::Complete(_) => {
                let open = repository.open().unwrap_or_default();
                let missing = |number: u64| {
                    if let Some(why) = repository.refs.unknown_because() {
                        return unknown(why);
                    }
                    let message = format!(
                        "#{number} is open, but the branch {} was not found; push it again, or close the pull request",
                        branch.branch
                    );
                    Match::Perhaps(problem("BranchMissing", message))
                };
                let mine = |p: &&super::PullRequest| p.identity_ref() == branch.branch && trigger::matches(rule, p);
                match open.into_iter().find(mine) {
                    Some(pull_request) => missing(pull_request.number),
                    None => Match::No,
                }
            }
        },
    }
}

fn replaced(repository: &RepositoryName) -> Problem {
    let message = format!(
        "{repository} leads to another repository than before; take it out of the config to end the environments that \
         the old one had"
    );
    problem("RepositoryReplaced", message)
}

fn branch_matches(
    patterns: &[String],
    repository: &Repository,
    branch: &BranchIdentity,
    unknown: &dyn Fn(&str) -> Match,
) -> Match {
    if fork_number(&branch.branch).is_some()
        || trigger::Patterns::new(patterns).matched(branch.branch.as_str()).is_none()
    {
        return Match::No;
    }
    match repository.refs.unknown_because() {
        Some(why) => unknown(why),
        // Known, so `want` would have found it, had it been there.
        None => Match::No,
    }
}

fn bulk(evidence: Evidence) -> Verdict {
    Verdict::Ends { evidence, bulk: true }
}
