//! What the config, with what was seen, asks for: one [`Want`] per subject, from files and from triggers.
//!
//! Nothing here knows what exists already. A repository that cannot be read yields no want; what becomes of the
//! environments that it had is decided in `verdict`, not by their absence here.

use super::{
    Reporter,
    observed::{Observed, PullRequest, Repository},
    subject::Subject,
    trigger,
};
use crate::load::Config;
use jiff::SignedDuration;
use lapdev_api::{
    bundle::BranchIdentity,
    digest::Digest,
    key::EnvironmentKey,
    kinds::{BranchEnvironments, Environment, EnvironmentType, Forks, Override, Placement, Trigger, TriggerOn},
    name::{BranchRef, CatalogName, ClusterName, Commit, EnvironmentName, Namespace, RepositoryId, RepositoryName},
    record::{Problem, Reason},
};
use std::collections::BTreeMap;

/// One environment that should be.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub name: EnvironmentName,
    pub environment_type: EnvironmentType,
    pub catalog: CatalogName,
    pub branch: Option<BranchIdentity>,
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub owner: Option<String>,
    /// Of a Branch: its newest commit, where it could be seen.
    pub head: Option<Commit>,
    /// None for a derived one.
    pub declaration: Option<Digest>,
    pub ttl: Option<SignedDuration>,
    pub overrides: Vec<Override>,
    pub paused: bool,
    pub pull_requests: Vec<u64>,
    pub reasons: Vec<Reason>,
    pub problems: Vec<Problem>,
    /// Why it cannot be published yet.
    pub waits: Option<String>,
    /// What somebody must approve before its newest commit may run.
    pub needs_approval: Option<String>,
    /// Its branch is gone in a complete listing though its file still asks for it.
    pub ref_gone: bool,
}

/// Where an environment of its own, or a base, stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub cluster: ClusterName,
    pub namespace: Namespace,
}

/// Everything that should be.
pub(super) fn wants(config: &Config, observed: &Observed, report: &mut Reporter) -> BTreeMap<Subject, Want> {
    let mut wants = BTreeMap::new();
    for (name, environment) in &config.environments {
        if let Some((subject, want)) = declared(config, observed, name, environment, report)
            && let Some(other) = wants.insert(subject, want)
        {
            report.problem("DuplicateEnvironment", format!("{name} and {} are the same branch", other.name));
        }
    }
    for (name, catalog) in &config.catalogs {
        let Some(rules) = &catalog.branch_environments else { continue };
        let Some(place) = place_of(config, &rules.base, report) else { continue };
        derived(&mut wants, &Derivation { name, rules, place }, observed);
    }
    wants
}

/// The place of a Personal or Shared environment.
pub(super) fn place_of(config: &Config, name: &EnvironmentName, report: &mut Reporter) -> Option<Place> {
    let (Placement::Personal { cluster, .. } | Placement::Shared { cluster }) =
        &config.environments.get(name)?.placement
    else {
        return None;
    };
    let prefix = &config.clusters.get(cluster)?.namespace_prefix;
    match format!("{prefix}{name}").parse() {
        Ok(namespace) => Some(Place { cluster: cluster.clone(), namespace }),
        Err(error) => {
            report.problem("Unplaceable", format!("environment {name}: {error}; shorten its name"));
            None
        }
    }
}

fn declared(
    config: &Config,
    observed: &Observed,
    name: &EnvironmentName,
    file: &Environment,
    report: &mut Reporter,
) -> Option<(Subject, Want)> {
    let base = match &file.placement {
        Placement::Branch { base, .. } => base,
        Placement::Personal { .. } | Placement::Shared { .. } => name,
    };
    let mut want = own(name, file, place_of(config, base, report)?);
    let Placement::Branch { branch, base, owner } = &file.placement else {
        return Some((Subject::Own(name.clone()), want));
    };
    let repository = observed.repositories.get(&branch.repository)?;
    let identity = identity(&file.catalog, base, repository.id.as_ref()?, &branch.repository, &branch.branch);
    owner.clone_into(&mut want.owner);
    look_at_branch(&mut want, repository, &identity);
    let subject = subject(&file.catalog, &identity);
    want.branch = Some(identity);
    Some((subject, want))
}

fn own(name: &EnvironmentName, file: &Environment, place: Place) -> Want {
    let declaration = serde_json::to_vec(file).expect("a kind has only string keys");
    let owner = match &file.placement {
        Placement::Personal { owner, .. } => Some(owner.clone()),
        Placement::Shared { .. } | Placement::Branch { .. } => None,
    };
    Want {
        name: name.clone(),
        environment_type: file.placement.environment_type(),
        catalog: file.catalog.clone(),
        branch: None,
        cluster: place.cluster,
        namespace: place.namespace,
        owner,
        head: None,
        declaration: Some(Digest::of(&declaration)),
        ttl: file.ttl,
        overrides: file.overrides.clone(),
        paused: file.paused,
        pull_requests: Vec::new(),
        reasons: vec![environment_reason("its file declares it")],
        problems: Vec::new(),
        waits: None,
        needs_approval: None,
        ref_gone: false,
    }
}

fn look_at_branch(want: &mut Want, repository: &Repository, identity: &BranchIdentity) {
    let (name, branch) = (&identity.repository, &identity.branch);
    match repository.refs.known() {
        None => {
            let why = repository.refs.unknown_because().unwrap_or_default();
            want.problems.push(super::problem("RepositoryUnreadable", super::unreadable(name, why)));
            want.waits = Some(format!("repository {name} cannot be read: {why}"));
        }
        Some(branches) => {
            want.head = branches.get(branch).cloned();
            want.ref_gone = want.head.is_none();
            if want.ref_gone {
                want.waits = Some(format!("{name} has no branch {branch}; push it, or correct `branch.ref`"));
            }
        }
    }
    want.pull_requests = attached(repository, branch);
}

/// One catalog's rules for branches, and where they lead.
struct Derivation<'a> {
    name: &'a CatalogName,
    rules: &'a BranchEnvironments,
    place: Place,
}

fn derived(wants: &mut BTreeMap<Subject, Want>, from: &Derivation<'_>, observed: &Observed) {
    for trigger in &from.rules.on {
        let Some(repository) = observed.repositories.get(&trigger.repository) else { continue };
        let Some(id) = &repository.id else { continue };
        for hit in hits(trigger, repository) {
            let identity = identity(from.name, &from.rules.base, id, &trigger.repository, &hit.branch);
            let subject = subject(from.name, &identity);
            let want = wants.entry(subject).or_insert_with(|| from.want(identity, repository, &hit));
            // The file wins: a trigger that matches too adds nothing to it.
            if want.declaration.is_none() {
                let reason = environment_reason(&hit.reason);
                if !want.reasons.contains(&reason) {
                    want.reasons.push(reason);
                }
                // Two triggers may match; the one that asks for less decides.
                if hit.needs_approval.is_none() {
                    want.needs_approval = None;
                }
            }
        }
    }
}

impl Derivation<'_> {
    fn want(&self, identity: BranchIdentity, repository: &Repository, hit: &Hit) -> Want {
        Want {
            name: identity.key.as_str().parse().expect("a key is a DNS label"),
            environment_type: EnvironmentType::Branch,
            catalog: self.name.clone(),
            pull_requests: attached(repository, &identity.branch),
            ttl: shorter(self.rules.ttl, repository.branch_ttl.get(&identity.branch).copied()),
            branch: Some(identity),
            cluster: self.place.cluster.clone(),
            namespace: self.place.namespace.clone(),
            owner: None,
            head: Some(hit.head.clone()),
            declaration: None,
            overrides: Vec::new(),
            paused: false,
            reasons: Vec::new(),
            problems: Vec::new(),
            waits: None,
            needs_approval: hit.needs_approval.clone(),
            ref_gone: false,
        }
    }
}

/// A want for a derived environment that nothing asks for now but that stays in doubt: as long as its branch can be
/// seen it goes on as its catalog says. What a file declares stays as it was published, since the file may be what is
/// in doubt.
pub(super) fn in_doubt(
    config: &Config,
    observed: &Observed,
    record: &lapdev_api::record::EnvironmentRecord,
    doubt: Option<Problem>,
) -> Option<Want> {
    let branch = record.identity.branch.clone()?;
    if record.declaration.is_some() || record.identity.name.as_str() != branch.key.as_str() {
        return None;
    }
    let name = &record.identity.catalog;
    let rules = config.catalogs.get(name)?.branch_environments.as_ref()?;
    let (_, seen) = observed.of(&branch)?;
    let head = seen.refs.known()?.get(&branch.branch).cloned()?;
    let place = Place { cluster: record.cluster.clone(), namespace: record.namespace.clone() };
    let from = Derivation { name, rules, place };
    let hit = Hit { branch: branch.branch.clone(), head, reason: String::new(), needs_approval: None };
    let mut want = from.want(branch, seen, &hit);
    want.name = record.identity.name.clone();
    want.owner.clone_from(&record.owner);
    want.reasons = record.reasons.iter().filter(|reason| reason.workload.is_none()).cloned().collect();
    want.problems.extend(doubt);
    Some(want)
}

/// One branch that a trigger matches.
struct Hit {
    branch: BranchRef,
    head: Commit,
    reason: String,
    needs_approval: Option<String>,
}

fn hits(trigger: &Trigger, repository: &Repository) -> Vec<Hit> {
    let Some(branches) = repository.refs.known() else { return Vec::new() };
    match &trigger.on {
        TriggerOn::Branches(patterns) => {
            let matcher = trigger::Patterns::new(patterns);
            let default = repository.refs.default_branch();
            let hit = |(branch, head): (&BranchRef, &Commit)| {
                let pattern = matcher.matched(branch.as_str())?;
                let reason = format!("branch {branch} of {} matches {pattern:?}", trigger.repository);
                Some(Hit { branch: branch.clone(), head: head.clone(), reason, needs_approval: None })
            };
            branches.iter().filter(|(branch, _)| Some(*branch) != default).filter_map(hit).collect()
        }
        TriggerOn::PullRequests(rule) => {
            let open = repository.open().unwrap_or_default();
            let matching = open.into_iter().filter(|pull_request| trigger::matches(rule, pull_request));
            matching.filter_map(|pull_request| pull_request_hit(trigger, rule.forks, branches, pull_request)).collect()
        }
    }
}

/// None when the listing is ahead of the fetch, or the branch went while its pull request stayed open.
fn pull_request_hit(
    trigger: &Trigger,
    forks: Forks,
    branches: &BTreeMap<BranchRef, Commit>,
    pull_request: &PullRequest,
) -> Option<Hit> {
    let branch = pull_request.identity_ref();
    let head = if pull_request.fork { &pull_request.head } else { branches.get(&branch)? };
    let needs_approval = (pull_request.fork && forks == Forks::Approval).then(|| {
        format!(
            "#{} comes from a fork, and this version cannot record the approval of a commit yet; push the branch to {} \
             itself, or set `forks: allow` in the catalog",
            pull_request.number, trigger.repository
        )
    });
    let reason = format!("pull request #{} of {} is open", pull_request.number, trigger.repository);
    Some(Hit { head: head.clone(), branch, reason, needs_approval })
}

fn identity(
    catalog: &CatalogName,
    base: &EnvironmentName,
    repository_id: &RepositoryId,
    repository: &RepositoryName,
    branch: &BranchRef,
) -> BranchIdentity {
    BranchIdentity {
        key: EnvironmentKey::derive(catalog, repository_id, branch),
        base: base.clone(),
        repository_id: repository_id.clone(),
        repository: repository.clone(),
        branch: branch.clone(),
    }
}

fn subject(catalog: &CatalogName, identity: &BranchIdentity) -> Subject {
    Subject::Branch {
        catalog: catalog.clone(),
        repository: identity.repository_id.clone(),
        branch: identity.branch.clone(),
    }
}

/// The open pull requests of a branch, whatever the rules think of them: each carries the comment.
fn attached(repository: &Repository, branch: &BranchRef) -> Vec<u64> {
    let open = repository.open().unwrap_or_default();
    let mut numbers: Vec<u64> =
        open.iter().filter(|p| p.identity_ref() == *branch).map(|pull_request| pull_request.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A branch may ask for less time than its catalog gives, never for more.
fn shorter(catalog: Option<SignedDuration>, branch: Option<SignedDuration>) -> Option<SignedDuration> {
    catalog.into_iter().chain(branch).min()
}

fn environment_reason(text: &str) -> Reason {
    Reason { workload: None, text: text.to_owned() }
}
