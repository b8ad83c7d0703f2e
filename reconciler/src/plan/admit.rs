//! Turns fates into ledger entries: who goes live, who waits and for what, in which order.
//!
//! A live environment stays live whatever the limit says; a limit, a missing base, an earlier life that is still being
//! removed or an agent that has not said yet what it holds only keeps new ones waiting.

use super::{
    Observed, Planned, Work, problem,
    settle::{Fate, Settled, expires_at, last_change, next_head},
    subject::{Lives, Subject},
    want::Want,
};
use crate::load::Config;
use jiff::Timestamp;
use lapdev_api::{
    bundle::Identity,
    kinds::Sync,
    name::{CatalogName, ClusterName, EnvironmentName, Generation, Namespace, Uid},
    record::{EnvironmentRecord, Evidence, Life, Problem},
};
use std::collections::{BTreeMap, BTreeSet};

/// Decides for all, in order of first sight.
pub(super) fn admit(
    config: &Config,
    observed: &Observed,
    settled: Vec<Settled<'_>>,
    lives: &Lives<'_>,
    now: Timestamp,
    fresh: &mut dyn FnMut() -> Uid,
) -> Vec<Planned> {
    let mut gate = Gate {
        config,
        clusters_heard_of: &observed.clusters_heard_of,
        lives,
        now,
        fresh,
        places: BTreeMap::new(),
        bases: BTreeSet::new(),
        names: BTreeSet::new(),
    };
    let mut planned = Vec::new();
    let mut candidates = Vec::new();
    for one in settled {
        let Settled { subject, living, fate } = one;
        match (living, fate) {
            (Some(record), Fate::Ends { evidence, then, .. }) => {
                planned.push(ended(record, evidence, now));
                candidates.extend(then.map(|want| Candidate { subject, living: None, want }));
            }
            (Some(record), Fate::Stays(why)) => planned.push(gate.stays(record, why)),
            (living, Fate::Lives(want)) => candidates.push(Candidate { subject, living, want }),
            (None, Fate::Ends { .. } | Fate::Stays(_)) => {}
        }
    }
    candidates.sort_by_cached_key(|candidate| candidate.turn(now));
    planned.extend(candidates.into_iter().map(|candidate| gate.lets_in(candidate)));
    planned.sort_by(|a, b| {
        a.record.identity.name.cmp(&b.record.identity.name).then(a.record.identity.uid.cmp(&b.record.identity.uid))
    });
    planned
}

struct Candidate<'a> {
    subject: Subject,
    living: Option<&'a EnvironmentRecord>,
    want: Box<Want>,
}

impl Candidate<'_> {
    /// Live ones first, so that they are counted before anybody asks for a place; bases before branches, files before
    /// triggers; then in order of first sight, and of their pull requests where that was in the same pass.
    fn turn(&self, now: Timestamp) -> (bool, bool, bool, Timestamp, u64, Subject) {
        let live = self.living.is_some_and(|record| record.life == Life::Live);
        let first_seen = self.living.map_or(now, |record| record.first_seen);
        let number = self.want.pull_requests.first().copied().unwrap_or(u64::MAX);
        (self.want.branch.is_some(), !live, self.want.declaration.is_none(), first_seen, number, self.subject.clone())
    }
}

struct Gate<'a> {
    config: &'a Config,
    clusters_heard_of: &'a BTreeSet<ClusterName>,
    lives: &'a Lives<'a>,
    now: Timestamp,
    fresh: &'a mut dyn FnMut() -> Uid,
    /// Places taken, by catalog.
    places: BTreeMap<CatalogName, usize>,
    /// Where a branch may go.
    bases: BTreeSet<(ClusterName, Namespace)>,
    names: BTreeSet<EnvironmentName>,
}

impl Gate<'_> {
    fn stays(&mut self, record: &EnvironmentRecord, why: Option<Problem>) -> Planned {
        self.count(record);
        let mut record = record.clone();
        record.problems = why.into_iter().collect();
        Planned { record, work: Work::Keep }
    }

    fn count(&mut self, record: &EnvironmentRecord) {
        self.names.insert(record.identity.name.clone());
        if record.life != Life::Live {
            return;
        }
        match &record.identity.branch {
            None => {
                self.bases.insert((record.cluster.clone(), record.namespace.clone()));
            }
            Some(_) if record.declaration.is_none() => {
                *self.places.entry(record.identity.catalog.clone()).or_default() += 1;
            }
            Some(_) => {}
        }
    }

    fn lets_in(&mut self, candidate: Candidate<'_>) -> Planned {
        let Candidate { subject, living, want } = candidate;
        let is_live = living.is_some_and(|record| record.life == Life::Live);
        let obstacle = if is_live { None } else { self.obstacle(&subject, &want) };
        let life = match obstacle {
            Some(reason) => Life::Queued { reason },
            None => Life::Live,
        };
        let work = self.work(&life, living, &want);
        let record = self.record(life, living, *want);
        self.count(&record);
        Planned { record, work }
    }

    /// Why a new one cannot go live now.
    fn obstacle(&self, subject: &Subject, want: &Want) -> Option<String> {
        if want.paused {
            return Some("its file says `paused: true`".to_owned());
        }
        if let Some(reason) = want.waits.as_ref().or(want.needs_approval.as_ref()) {
            return Some(reason.clone());
        }
        if !self.clusters_heard_of.contains(&want.cluster) {
            let cluster = &want.cluster;
            return Some(format!("waits for the agent of cluster {cluster} to connect, which may hold it already"));
        }
        if self.names.contains(&want.name) {
            return Some(format!("another environment is named {}; rename that one", want.name));
        }
        if self.lives.still_closing(subject, &want.cluster, &want.namespace) {
            return Some(format!("its earlier life is still being removed from cluster {}", want.cluster));
        }
        let branch = want.branch.as_ref()?;
        if !self.bases.contains(&(want.cluster.clone(), want.namespace.clone())) {
            return Some(format!("its base {} is not live yet", branch.base));
        }
        let rules = self.config.catalogs.get(&want.catalog)?.branch_environments.as_ref()?;
        let taken = self.places.get(&want.catalog).copied().unwrap_or_default();
        let full = want.declaration.is_none() && taken >= rules.limit as usize;
        full.then(|| {
            format!("all {} places of catalog {} are taken; it goes live when one is free", rules.limit, want.catalog)
        })
    }

    fn work(&self, life: &Life, living: Option<&EnvironmentRecord>, want: &Want) -> Work {
        let held_back = want.paused || want.needs_approval.is_some() || want.waits.is_some();
        let nothing_to_render = want.branch.is_some() && next_head(living, want).is_none();
        if *life != Life::Live || held_back || nothing_to_render {
            return Work::Keep;
        }
        let manual = self.config.catalogs.get(&want.catalog).is_some_and(|catalog| catalog.sync == Sync::Manual);
        let pin = living.filter(|_| manual).and_then(|record| record.source.clone());
        Work::Render { overrides: want.overrides.clone(), pin }
    }

    fn record(&mut self, life: Life, living: Option<&EnvironmentRecord>, want: Want) -> EnvironmentRecord {
        let head = next_head(living, &want);
        let last_change = living.map_or(self.now, |record| last_change(record, &want, self.now));
        let expires_at = expires_at(&want, last_change);
        let approval = want.needs_approval.filter(|_| life == Life::Live).map(|text| problem("ApprovalNeeded", text));
        let paused = want.paused.then(|| problem("Paused", "its file says `paused: true`; nothing new is published"));
        let old_reasons = living.into_iter().flat_map(|record| &record.reasons).filter(|r| r.workload.is_some());
        EnvironmentRecord {
            identity: Identity {
                uid: living.map_or_else(&mut *self.fresh, |record| record.identity.uid.clone()),
                name: want.name,
                environment_type: want.environment_type,
                catalog: want.catalog,
                branch: want.branch,
            },
            cluster: want.cluster,
            namespace: want.namespace,
            owner: want.owner,
            life,
            generation: living.map_or(Generation(0), |record| record.generation),
            digest: living.and_then(|record| record.digest),
            first_seen: living.map_or(self.now, |record| record.first_seen),
            last_change,
            expires_at,
            declaration: want.declaration,
            head,
            source: living.and_then(|record| record.source.clone()),
            pull_requests: want.pull_requests,
            reasons: want.reasons.into_iter().chain(old_reasons.cloned()).collect(),
            previews: living.map(|record| record.previews.clone()).unwrap_or_default(),
            problems: want.problems.into_iter().chain(approval).chain(paused).collect(),
        }
    }
}

/// A tombstone; or, where nothing was ever published, the end at once.
fn ended(record: &EnvironmentRecord, evidence: Evidence, at: Timestamp) -> Planned {
    let never_published = matches!(record.life, Life::Queued { .. }) && record.generation == Generation(0);
    let life = match never_published {
        true => Life::Closed { evidence, at },
        false => Life::Closing { evidence, at },
    };
    let generation = record.generation.next();
    let record = EnvironmentRecord { life, generation, digest: None, problems: Vec::new(), ..record.clone() };
    Planned { record, work: Work::Keep }
}
