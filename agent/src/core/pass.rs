//! One look at one environment: towards its bundle or towards its end, and then what to say about it.

use super::{Core, Work};
use crate::{
    drift::Outcome,
    health::Obstacle,
    registry::{End, Environment},
};
use jiff::Timestamp;
use lapdev_api::name::Uid;
use std::time::Duration;

/// When to look again at what only a person or a new revision can help.
const BLOCKED: Duration = Duration::from_secs(60);
/// When to look again at what is being deleted, should no watch report that it is gone.
const GOING: Duration = Duration::from_secs(3);
/// When to look again at routers that do not listen yet.
const ROUTERS: Duration = Duration::from_secs(2);

impl Core {
    /// Looks at an environment, does what differs, and reports.
    pub(super) async fn pass(&self, uid: &Uid) -> Outcome {
        let Some(held) = self.expired(uid) else {
            return self.sweep(uid).await;
        };
        let mut work = self.take_work(uid);
        let outcome = match &held.end {
            Some(end) => self.pass_to_end(&held, end, &mut work).await,
            None => self.pass_to_bundle(&held, &mut work).await,
        };
        // An environment that is gone has nothing to say and nothing to remember.
        if self.registry().get(uid).is_some() {
            self.report(uid, &work);
            self.put_work(uid, work);
        }
        outcome
    }

    /// The environment, its ttl considered.
    fn expired(&self, uid: &Uid) -> Option<Environment> {
        let mut registry = self.registry();
        let ends = registry.get(uid)?.expires_at;
        if let Some(at) = ends.filter(|at| *at <= Timestamp::now()) {
            registry.expire(uid, at);
        }
        registry.get(uid).cloned()
    }

    async fn pass_to_bundle(&self, held: &Environment, work: &mut Work) -> Outcome {
        let Some(content) = held.bundle.clone() else {
            // What runs goes on; without its bytes drift cannot be repaired until the hub sends them again.
            self.outbox.need(held.accepted.digest);
            return Outcome::Settled(until(held.expires_at));
        };
        let result = self.converge(held, &content, work).await;
        let outcome = match &result {
            Ok(()) => {
                let routers = work.pending.as_ref().map(|_| ROUTERS);
                Outcome::Settled(until(held.expires_at).into_iter().chain(routers).min())
            }
            Err(trouble) if trouble.obstacle().1 => Outcome::Retry,
            Err(_) => Outcome::Blocked(BLOCKED),
        };
        let obstacle = result.as_ref().err().map(|trouble| trouble.obstacle().0);
        if obstacle.is_some() {
            // What failed may not be as it was thought to be.
            work.version = None;
            work.parent = None;
            self.note(held, work.obstacle.as_ref(), obstacle.as_ref());
        }
        if result.is_err_and(|trouble| trouble.is_not_found()) {
            self.api.forget_kinds();
        }
        work.obstacle = obstacle;
        outcome
    }

    async fn pass_to_end(&self, held: &Environment, end: &End, work: &mut Work) -> Outcome {
        let result = self.end(held, end).await;
        // Should it live again, nothing that was known of it holds.
        *work = Work { obstacle: work.obstacle.take(), ..Work::default() };
        match result {
            Ok(true) => {
                work.obstacle = None;
                Outcome::Settled(None)
            }
            Ok(false) => Outcome::Settled(Some(GOING)),
            Err(trouble) => {
                let (obstacle, _) = trouble.obstacle();
                self.note(held, work.obstacle.as_ref(), Some(&obstacle));
                work.obstacle = Some(obstacle);
                Outcome::Retry
            }
        }
    }

    /// Logs an obstacle when it is a new one.
    fn note(&self, held: &Environment, before: Option<&Obstacle>, now: Option<&Obstacle>) {
        if before != now
            && let Some(Obstacle::Occupied(why) | Obstacle::Failed(why) | Obstacle::Retrying(why)) = now
        {
            tracing::warn!(environment = %held.identity.name, uid = %held.identity.uid, why, "cannot go on");
        }
    }
}

/// How long until that moment.
fn until(at: Option<Timestamp>) -> Option<Duration> {
    let left = at?.duration_since(Timestamp::now());
    Some(Duration::try_from(left).unwrap_or_default())
}
