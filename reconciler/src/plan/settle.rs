//! Joins each want with the life that its subject has, and settles every life's fate. For what nothing asks for,
//! `verdict` finds the evidence; here it is found for what ends although something asks for it, and for a life too many.

use super::{
    Limits, Reporter, hold,
    observed::{Confirmation, Observed},
    problem,
    subject::{Lives, Subject, is_living},
    verdict::{Verdict, verdict},
    want::{Want, in_doubt},
};
use crate::load::Config;
use jiff::Timestamp;
use lapdev_api::{
    kinds::EnvironmentType,
    record::{EnvironmentRecord, Evidence, Life, Problem},
    view::HeldView,
};
use std::collections::BTreeMap;

/// One subject, or one life too many of it, with its fate.
pub(super) struct Settled<'a> {
    pub subject: Subject,
    pub living: Option<&'a EnvironmentRecord>,
    pub fate: Fate,
}

pub(super) enum Fate {
    /// It should be so.
    Lives(Box<Want>),
    /// It ends; what may begin in its place is `then`.
    Ends { evidence: Evidence, bulk: bool, then: Option<Box<Want>> },
    /// It stays as it was published.
    Stays(Option<Problem>),
}

pub(super) struct Pass<'a> {
    pub config: &'a Config,
    pub observed: &'a Observed,
    pub now: Timestamp,
    pub report: Reporter,
}

impl Pass<'_> {
    pub fn settle<'l>(&mut self, wants: BTreeMap<Subject, Want>, lives: &Lives<'l>) -> Vec<Settled<'l>> {
        let mut settled = Vec::new();
        for (subject, &record) in &lives.living {
            if !wants.contains_key(subject) {
                let fate = self.unwanted(record);
                settled.push(Settled { subject: subject.clone(), living: Some(record), fate });
            }
        }
        for (subject, want) in wants {
            let living = lives.living.get(&subject).copied();
            let fate = match living {
                Some(record) => self.wanted(record, want),
                None if dormant(&want, lives.last_ended(&subject), self.now) => continue,
                None => Fate::Lives(Box::new(want)),
            };
            settled.push(Settled { subject, living, fate });
        }
        settled.extend(lives.superseded.iter().map(|(record, by)| {
            let evidence = Evidence::Superseded { by: by.clone() };
            let fate = Fate::Ends { evidence, bulk: false, then: None };
            Settled { subject: Subject::of(&record.identity), living: Some(*record), fate }
        }));
        settled
    }

    fn unwanted(&mut self, record: &EnvironmentRecord) -> Fate {
        let doubt = match verdict(self.config, self.observed, record) {
            Verdict::Ends { evidence, bulk } => return Fate::Ends { evidence, bulk, then: None },
            Verdict::Doubt(doubt) => Some(doubt),
            Verdict::Ask(numbers) => {
                self.ask(record, &numbers);
                None
            }
        };
        if record.life != Life::Live {
            // What waits goes on waiting: doubt lets nothing in.
            return Fate::Stays(doubt);
        }
        match in_doubt(self.config, self.observed, record, doubt.clone()) {
            Some(want) => self.wanted(record, want),
            None => Fate::Stays(doubt),
        }
    }

    fn wanted(&mut self, record: &EnvironmentRecord, mut want: Want) -> Fate {
        if want.cluster != record.cluster || want.namespace != record.namespace {
            let evidence = Evidence::Moved { commit: self.observed.config_commit.clone() };
            return Fate::Ends { evidence, bulk: true, then: Some(Box::new(want)) };
        }
        self.keep_unconfirmed(record, &mut want);
        if let Some(evidence) = ref_gone(record, &want) {
            return Fate::Ends { evidence, bulk: true, then: None };
        }
        let expires = expires_at(&want, last_change(record, &want, self.now));
        match expires.filter(|at| *at <= self.now) {
            // A ttl that ran out as announced is the clock's doing; one that the config has just cut is the config's.
            Some(at) => {
                let bulk = record.expires_at.is_none_or(|announced| announced > self.now);
                Fate::Ends { evidence: Evidence::TtlEnded { at }, bulk, then: None }
            }
            None => Fate::Lives(Box::new(want)),
        }
    }

    /// A pull request that the listing no longer has stays attached until the forge says that it ended.
    fn keep_unconfirmed(&mut self, record: &EnvironmentRecord, want: &mut Want) {
        let Some((_, repository)) = want.branch.as_ref().and_then(|branch| self.observed.of(branch)) else { return };
        let absent: Vec<u64> =
            record.pull_requests.iter().copied().filter(|number| !want.pull_requests.contains(number)).collect();
        let unasked: Vec<u64> =
            absent.iter().copied().filter(|number| !repository.confirmations.contains_key(number)).collect();
        if repository.open().is_some() {
            self.ask(record, &unasked);
        }
        let ended = |number: &u64| matches!(repository.confirmations.get(number), Some(Confirmation::Ended));
        want.pull_requests.extend(absent.into_iter().filter(|number| !ended(number)));
        want.pull_requests.sort_unstable();
    }

    fn ask(&mut self, record: &EnvironmentRecord, numbers: &[u64]) {
        let seen = record.identity.branch.as_ref().and_then(|branch| self.observed.of(branch));
        let Some((repository, _)) = seen else { return };
        self.report.asks.extend(numbers.iter().map(|number| (repository.clone(), *number)));
    }
}

/// Its file still asks for a branch that a complete listing no longer has, and no pull request speaks for it.
fn ref_gone(record: &EnvironmentRecord, want: &Want) -> Option<Evidence> {
    let gone = want.ref_gone && want.pull_requests.is_empty() && record.life == Life::Live;
    let branch = want.branch.as_ref().filter(|_| gone)?;
    Some(Evidence::RefGone { branch: branch.branch.to_string() })
}

/// When its branch or file last moved. What is held back (paused, unapproved) has not moved.
pub(super) fn last_change(record: &EnvironmentRecord, want: &Want, now: Timestamp) -> Timestamp {
    let pushed = next_head(Some(record), want) != record.head;
    let rewritten = want.declaration != record.declaration;
    if pushed || rewritten { now } else { record.last_change }
}

/// The head that is to be published.
pub(super) fn next_head(living: Option<&EnvironmentRecord>, want: &Want) -> Option<lapdev_api::name::Commit> {
    let published = living.and_then(|record| record.head.clone());
    let held_back = want.paused || want.needs_approval.is_some();
    if held_back && published.is_some() { published } else { want.head.clone().or(published) }
}

pub(super) fn expires_at(want: &Want, last_change: Timestamp) -> Option<Timestamp> {
    // A ttl past the end of the calendar never ends.
    last_change.checked_add(want.ttl?).ok()
}

/// Whether its ttl ended and nothing moved since.
fn dormant(want: &Want, ended: Option<&EnvironmentRecord>, now: Timestamp) -> bool {
    let Some(ended) = ended else { return false };
    let (Life::Closing { evidence, .. } | Life::Closed { evidence, .. }) = &ended.life else { return false };
    matches!(evidence, Evidence::TtlEnded { .. })
        && ended.head == want.head
        && ended.declaration == want.declaration
        && expires_at(want, ended.last_change).is_some_and(|at| at <= now)
}

/// Turns bulk endings into staying ones where they are too many for one pass.
pub(super) fn guard<'a>(
    mut settled: Vec<Settled<'a>>,
    observed: &Observed,
    limits: &Limits,
) -> (Vec<Settled<'a>>, Option<HeldView>) {
    let runs = |s: &Settled<'_>| s.living.is_some_and(|record| record.life == Life::Live);
    let is_bulk = |s: &Settled<'_>| runs(s) && matches!(s.fate, Fate::Ends { bulk: true, .. });
    let living = settled.iter().filter(|s| runs(s)).count();
    let names: Vec<_> =
        settled.iter().filter(|s| is_bulk(s)).filter_map(|s| Some(s.living?.identity.name.clone())).collect();
    let held = hold::decide(&names, living, limits, &observed.config_commit);
    if let Some(held) = &held {
        for one in settled.iter_mut().filter(|s| is_bulk(s)) {
            one.fate = Fate::Stays(Some(problem("DeletionHeld", held.message.clone())));
        }
    }
    (settled, held)
}

/// Lets a base wait until nothing of a branch is left in its namespace.
pub(super) fn bases_last<'a>(mut settled: Vec<Settled<'a>>, ledger: &[EnvironmentRecord]) -> Vec<Settled<'a>> {
    for one in &mut settled {
        let Some(base) = one.living.filter(|record| record.identity.environment_type == EnvironmentType::Shared) else {
            continue;
        };
        let Fate::Ends { evidence, .. } = &one.fate else { continue };
        let waits = ledger.iter().any(|record| is_branch_in(record, base));
        if waits && !matches!(evidence, Evidence::Superseded { .. }) {
            let message = format!("{evidence}; it ends when the last branch environment beside it is gone");
            one.fate = Fate::Stays(Some(problem("WaitsForBranches", message)));
        }
    }
    settled
}

fn is_branch_in(record: &EnvironmentRecord, base: &EnvironmentRecord) -> bool {
    let holds_objects = match record.life {
        Life::Queued { .. } | Life::Closed { .. } => false,
        Life::Live | Life::Closing { .. } => true,
    };
    debug_assert!(is_living(base), "only living ones are settled");
    record.identity.branch.is_some()
        && holds_objects
        && record.cluster == base.cluster
        && record.namespace == base.namespace
}
