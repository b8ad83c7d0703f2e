//! One pass: look, plan, render, publish. It reads everything that it needs, and writes at its end, in one transaction;
//! ended anywhere before, it has done nothing.

use super::{
    PassError, Reconciler,
    beside::Published,
    config::ConfigState,
    look::Closely,
    renderer::{Outcomes, Renderer},
    world::{InForce, Seen, World, mentioned},
};
use crate::{
    plan::{Plan, Planned, plan},
    publish::publication,
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use lapdev_api::{
    name::{ClusterName, RepositoryName, Uid, short_id},
    record::{EnvironmentRecord, Life, Problem},
    view::ConfigView,
};
use lapdev_store::{Delivery, Which};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

/// How many repositories are looked at, and how many questions asked of the forge, at once.
const AT_ONCE: usize = 8;
/// How often one pass plans again because an answer was still missing. Two suffice for all but two environments of one
/// branch that stand at different commits; what is open then is asked in the next pass.
const PLANS: usize = 4;
/// How many deliveries one pass answers.
const DELIVERIES: u32 = 1000;

/// What the passes remember from one to the next. Losing it costs time, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub config: ConfigState,
    pub seen: BTreeMap<RepositoryName, Seen>,
    pub renderer: Renderer,
    pub published: Published,
    /// Repositories that a delivery spoke of, and that are to be looked at once more: a forge's listing may lag behind
    /// its own webhook.
    pub second_looks: BTreeSet<RepositoryName>,
}

/// What a pass looks at. Everything else is as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What deliveries speak of; the ledger anyway.
    Nudged,
    /// And once more what earlier ones spoke of.
    SecondLook,
    /// All of it.
    Everything,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Records that were written.
    pub changed: usize,
    /// Whether more deliveries wait than one pass takes.
    pub more: bool,
    /// Whether something is to be looked at once more.
    pub second_look: bool,
}

impl Reconciler {
    pub(super) async fn pass(&self, memory: &mut Memory, scope: Scope) -> Result<Done, PassError> {
        let deliveries = self.store.pending_deliveries(DELIVERIES).await?;
        let done = self.pass_for(memory, scope, &deliveries).await?;
        let ids: Vec<String> = deliveries.iter().map(|delivery| delivery.id.clone()).collect();
        if !ids.is_empty() {
            self.store.mark_processed(&ids, Timestamp::now()).await?;
        }
        let second_look = !memory.second_looks.is_empty();
        Ok(Done { changed: done, more: deliveries.len() == DELIVERIES as usize, second_look })
    }

    async fn pass_for(&self, memory: &mut Memory, scope: Scope, deliveries: &[Delivery]) -> Result<usize, PassError> {
        let everything = scope == Scope::Everything || memory.config.in_force.is_none();
        let touched = self.touched(memory, deliveries);
        let due = match scope {
            Scope::SecondLook => std::mem::take(&mut memory.second_looks).into_iter().chain(touched.clone()).collect(),
            Scope::Nudged | Scope::Everything => touched.clone(),
        };
        memory.second_looks.extend(touched);
        let config_due = everything || due.contains(&self.settings.config_repository);
        let other_config = if config_due { self.look_at_config(&mut memory.config).await } else { false };
        let Some(in_force) = memory.config.in_force.clone() else {
            self.store.put_config(&view(&memory.config, &memory.seen, None)).await?;
            // A commit that does not load waits for a better one; a repository that does not answer is asked again.
            return match &memory.config.unreadable {
                Some(problem) => Err(PassError::NoConfig(problem.message.clone())),
                None => Ok(0),
            };
        };
        let begun = Instant::now();
        self.look_around(memory, &in_force, deliveries, &due, everything || other_config).await;
        let looked = Instant::now();
        // Before the ledger, which then has all that these clusters' agents hold.
        let heard_of = self.clusters_heard_of().await?;
        let ledger = self.store.environments(Which::All).await?;
        let (plan, world) = self.plan(memory, &in_force, &heard_of, &ledger).await?;
        let planned = Instant::now();
        let changed = self.publish(memory, &plan, world, &ledger).await?;
        let (look, planning, publishing) = (looked - begun, planned - looked, planned.elapsed());
        tracing::debug!(?look, ?planning, ?publishing, changed, "steps of a pass");
        self.store.put_config(&view(&memory.config, &memory.seen, Some(&plan))).await?;
        let clusters: Vec<_> = in_force.config.clusters.values().map(|cluster| cluster.value.clone()).collect();
        self.store.put_clusters(&clusters).await?;
        Ok(changed)
    }

    /// The repositories that deliveries speak of. Others than those that the config mentions are nobody's business.
    fn touched(&self, memory: &Memory, deliveries: &[Delivery]) -> BTreeSet<RepositoryName> {
        let config = &self.settings.config_repository;
        let named = deliveries.iter().any(|delivery| names(delivery, config));
        let seen = memory.seen.iter().filter(|(name, seen)| is_touched(name, seen, deliveries));
        seen.map(|(name, _)| name.clone()).chain(named.then(|| config.clone())).collect()
    }

    /// Looks at the repositories that are new, that a delivery speaks of, or at all of them.
    async fn look_around(
        &self,
        memory: &mut Memory,
        in_force: &InForce,
        deliveries: &[Delivery],
        due: &BTreeSet<RepositoryName>,
        everything: bool,
    ) {
        let wanted = mentioned(&in_force.config);
        memory.seen.retain(|name, _| wanted.contains_key(name));
        let looks = wanted.into_iter().filter_map(|(name, pull_requests)| {
            let before = memory.seen.get(&name);
            let is_due = everything || before.is_none() || due.contains(&name);
            is_due.then(|| {
                let before = before.cloned();
                let replaced = before.as_ref().is_some_and(|seen| is_replaced(&name, seen, deliveries));
                let closely = Closely { pull_requests, identity: everything || replaced };
                async move { (name.clone(), self.look(&name, before, closely).await) }
            })
        });
        let looks: Vec<_> = looks.collect();
        let seen: Vec<(RepositoryName, Seen)> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        memory.seen.extend(seen);
    }

    async fn clusters_heard_of(&self) -> Result<BTreeSet<ClusterName>, PassError> {
        let sessions = self.store.sessions().await?;
        Ok(sessions.into_iter().filter(|session| session.adopted).map(|session| session.cluster).collect())
    }

    /// Plans, answers what the plan asks, and plans again, until it asks nothing that is not answered.
    async fn plan(
        &self,
        memory: &mut Memory,
        in_force: &InForce,
        heard_of: &BTreeSet<ClusterName>,
        ledger: &[EnvironmentRecord],
    ) -> Result<(Plan, Arc<World>), PassError> {
        let now = Timestamp::now();
        let mut plans = 0;
        loop {
            plans += 1;
            let world = Arc::new(self.world(memory, in_force, heard_of));
            let mut uids = Uids::default();
            let mut fresh = || uids.fresh();
            let plan = plan(&in_force.config, &world.observed(), ledger, now, &self.settings.limits, &mut fresh);
            uids.check()?;
            let asked = self.answer(memory, &plan).await;
            let read = self.read_branch_ttls(memory, &world, &plan).await?;
            if (!asked && !read) || plans == PLANS {
                return Ok((plan, world));
            }
        }
    }

    fn world(&self, memory: &Memory, in_force: &InForce, heard_of: &BTreeSet<ClusterName>) -> World {
        World {
            control_plane: self.store.control_plane_id(),
            config_repository: self.settings.config_repository.clone(),
            config_branch: self.settings.config_branch.clone(),
            in_force: in_force.clone(),
            seen: memory.seen.clone(),
            clusters_heard_of: heard_of.clone(),
            router: self.settings.router.clone(),
            bases: self.bases.clone(),
        }
    }

    /// Asks the forge what the plan wants to know. Says whether there was anything to ask.
    async fn answer(&self, memory: &mut Memory, plan: &Plan) -> bool {
        let asks = plan.asks.iter().map(|(name, number)| {
            let id = memory.seen.get(name).and_then(|seen| seen.repository.id.clone());
            async move { (name, *number, self.confirm(name, id.as_ref(), *number).await) }
        });
        let asks: Vec<_> = asks.collect();
        let answers: Vec<_> = stream::iter(asks).buffer_unordered(AT_ONCE).collect().await;
        for (name, number, answer) in &answers {
            if let Some(seen) = memory.seen.get_mut(*name) {
                seen.repository.confirmations.insert(*number, answer.clone());
            }
        }
        !answers.is_empty()
    }

    /// Reads the ttl that branches ask for themselves. Says whether that is other than what was planned with.
    async fn read_branch_ttls(&self, memory: &mut Memory, world: &Arc<World>, plan: &Plan) -> Result<bool, PassError> {
        let mut renderer = std::mem::take(&mut memory.renderer);
        let branches: Vec<EnvironmentRecord> =
            plan.environments.iter().map(|one| &one.record).filter(|record| is_open(record)).cloned().collect();
        let work = Arc::clone(world);
        let read = tokio::task::spawn_blocking(move || {
            let read = |record: EnvironmentRecord| {
                // A file that does not read asks for nothing; rendering says what is wrong in it.
                let ttl = renderer.branch_file(&work, &record).ok().and_then(|file| file.ttl);
                (record, ttl)
            };
            let ttls: Vec<_> = branches.into_iter().map(read).collect();
            renderer.forget_branch_files();
            (renderer, ttls)
        });
        let (renderer, ttls) = read.await.map_err(PassError::Task)?;
        memory.renderer = renderer;
        let mut other = false;
        for (record, ttl) in ttls {
            let Some(branch) = &record.identity.branch else { continue };
            let is_it = |seen: &&mut Seen| seen.repository.id.as_ref() == Some(&branch.repository_id);
            let Some(seen) = memory.seen.values_mut().find(is_it) else { continue };
            let known = &mut seen.repository.branch_ttl;
            let before = match ttl {
                Some(ttl) => known.insert(branch.branch.clone(), ttl),
                None => known.remove(&branch.branch),
            };
            other |= before != ttl;
        }
        Ok(other)
    }

    async fn publish(
        &self,
        memory: &mut Memory,
        plan: &Plan,
        world: Arc<World>,
        ledger: &[EnvironmentRecord],
    ) -> Result<usize, PassError> {
        let planned: Arc<[Planned]> = plan.environments.as_slice().into();
        let (work, branches) = (Arc::clone(&world), Arc::clone(&planned));
        let mut outcomes = self.render(memory, move |renderer| renderer.branches(&work, &branches)).await?;
        let beside = memory.published.beside(&self.store, &planned, &outcomes).await?;
        outcomes.extend(self.render(memory, move |renderer| renderer.bases(&world, &planned, &beside)).await?);
        let publication = publication(plan, &outcomes, ledger);
        let changed = publication.records.len();
        publication.records.iter().for_each(log);
        if changed > 0 {
            self.store.publish(publication).await?;
        }
        Ok(changed)
    }

    async fn render(
        &self,
        memory: &mut Memory,
        render: impl FnOnce(&mut Renderer) -> Outcomes + Send + 'static,
    ) -> Result<Outcomes, PassError> {
        let mut renderer = std::mem::take(&mut memory.renderer);
        let task = tokio::task::spawn_blocking(move || {
            let outcomes = render(&mut renderer);
            (renderer, outcomes)
        });
        let (renderer, outcomes) = task.await.map_err(PassError::Task)?;
        memory.renderer = renderer;
        Ok(outcomes)
    }
}

fn is_open(record: &EnvironmentRecord) -> bool {
    record.identity.branch.is_some() && matches!(record.life, Life::Live | Life::Queued { .. })
}

fn is_touched(name: &RepositoryName, seen: &Seen, deliveries: &[Delivery]) -> bool {
    let id = seen.repository.id.as_ref().map(|id| id.as_str());
    let same_id = |delivery: &Delivery| delivery.repository_id.is_some() && delivery.repository_id.as_deref() == id;
    deliveries.iter().any(|delivery| same_id(delivery) || names(delivery, name))
}

/// Whether a delivery says that the name leads to another repository now. What is seen there proves nothing about the
/// environments of the old one.
fn is_replaced(name: &RepositoryName, seen: &Seen, deliveries: &[Delivery]) -> bool {
    let id = seen.repository.id.as_ref().map(AsRef::as_ref);
    let other = |delivery: &Delivery| delivery.repository_id.is_some() && delivery.repository_id.as_deref() != id;
    deliveries.iter().any(|delivery| names(delivery, name) && other(delivery))
}

fn names(delivery: &Delivery, name: &RepositoryName) -> bool {
    delivery.repository.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(name.as_str()))
}

fn log(record: &EnvironmentRecord) {
    let (name, uid, generation) = (&record.identity.name, &record.identity.uid, record.generation);
    match &record.life {
        Life::Closing { evidence, .. } | Life::Closed { evidence, .. } => {
            tracing::info!(environment = %name, %uid, %generation, %evidence, "environment ends");
        }
        Life::Queued { reason } => tracing::info!(environment = %name, %uid, reason, "environment waits"),
        Life::Live => {
            let problem = record.problems.first().map(|problem| problem.message.as_str());
            tracing::info!(environment = %name, %uid, %generation, problem, "environment written");
        }
    }
}

/// What people see of the config repository.
fn view(config: &ConfigState, seen: &BTreeMap<RepositoryName, Seen>, plan: Option<&Plan>) -> ConfigView {
    let repositories = seen.iter().filter_map(|(name, seen)| {
        let why = seen.repository.refs.unknown_because()?;
        let message = format!("{name}: {why}; its environments stay as they are");
        Some(Problem { reason: "RepositoryUnreadable".to_owned(), message })
    });
    let problems = plan.into_iter().flat_map(|plan| plan.problems.iter().cloned());
    ConfigView {
        head: config.head.clone(),
        loaded: config.in_force.as_ref().map(|in_force| in_force.commit.clone()),
        errors: config.errors.clone(),
        held: plan.and_then(|plan| plan.held.clone()),
        unreadable: config.unreadable.iter().cloned().chain(repositories).chain(problems).collect(),
    }
}

/// Uids for new lives; a failure of the system's randomness is noted and fails the pass.
#[derive(Default)]
struct Uids {
    failed: Option<getrandom::Error>,
}

impl Uids {
    fn fresh(&mut self) -> Uid {
        let mut random = [0; 10];
        if let Err(error) = getrandom::fill(&mut random) {
            self.failed = Some(error);
        }
        short_id(random).parse().expect("a short id is a legal uid")
    }

    fn check(self) -> Result<(), PassError> {
        self.failed.map_or(Ok(()), |error| Err(PassError::Random(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(repository: Option<&str>, id: Option<&str>) -> Delivery {
        Delivery {
            id: "1".to_owned(),
            forge: "github".to_owned(),
            event: "push".to_owned(),
            action: None,
            repository_id: id.map(str::to_owned),
            repository: repository.map(str::to_owned),
            received_at: Timestamp::UNIX_EPOCH,
            ignored: false,
        }
    }

    #[test]
    fn a_delivery_touches_its_repository_by_id_or_name_and_no_other() {
        let name: RepositoryName = "acme/shop".parse().expect("legal");
        let mut seen = Seen::default();
        assert!(is_touched(&name, &seen, &[delivery(Some("Acme/Shop"), None)]));
        assert!(!is_touched(&name, &seen, &[delivery(Some("acme/other"), None), delivery(None, None)]));
        seen.repository.id = Some("42".parse().expect("legal"));
        assert!(is_touched(&name, &seen, &[delivery(Some("acme/renamed"), Some("42"))]));
    }
}
