//! Brings an environment to its bundle: namespace, inventory widened, objects in their order, what went pruned,
//! inventory narrowed. Each step may be the last before a crash; the next pass goes on from there.

use super::{AppliedObject, Core, Work, bundle, end::parent_id};
use crate::{
    apiserver::CallError,
    apply::{ApplyError, Onto, apply_object, apply_onto, namespace, sentence},
    applyset::{self, Parent, Version},
    drift::Fingerprint,
    health::Obstacle,
    object::{Desired, GroupKind, Marks, ObjectId},
    prune,
    registry::{Environment, HeldBundle},
    routes::RoutesError,
};
use futures_util::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{name::Uid, words::error_chain};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Objects of one stage that are applied at the same time.
const AT_ONCE: usize = 8;
/// How often, and how long apart, the first call into a new namespace is tried.
const GRANT_TRIES: u32 = 40;
const GRANT_PAUSE: Duration = Duration::from_millis(50);

/// What the parent in the cluster is known to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ParentState {
    pub(super) seen: Onto,
    pub(super) kinds: BTreeSet<GroupKind>,
    pub(super) accepted: Version,
    pub(super) applied: Option<Version>,
}

/// Why a pass did not reach its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// An apply failed.
    Apply(Box<ApplyError>),
    /// Another call failed.
    Call(CallError),
    /// The namespace cannot be routed as the bundles say.
    Routes(RoutesError),
    /// Something else has to happen first.
    Waiting(String),
}

impl From<RoutesError> for Trouble {
    fn from(error: RoutesError) -> Self {
        Self::Routes(error)
    }
}

impl From<ApplyError> for Trouble {
    fn from(error: ApplyError) -> Self {
        Self::Apply(Box::new(error))
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl Core {
    /// Applies what differs from what was applied; nothing when nothing does.
    pub(super) async fn converge(
        &self,
        held: &Environment,
        content: &HeldBundle,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let fresh = work.version != Some(held.accepted);
        if fresh {
            // Uids of the objects are kept: they are the preconditions of the next apply.
            work.drift.clear();
        }
        let objects = bundle::desired(&content.bundle, &held.namespace);
        let differ = |object: &&Desired| fresh || !work.held.contains(&object.id) && self.differs(object, work);
        let mut due: Vec<_> = objects.iter().filter(differ).cloned().collect();
        if !self.stands(&work.ground) {
            work.parent = None;
        }
        let settled = work.parent.as_ref().is_some_and(|parent| parent.applied == Some(held.accepted));
        if due.is_empty() && !fresh && (settled || !work.held.is_empty()) {
            self.route(held, work).await?;
            if settled || self.unheld(held, work).await.is_empty() {
                return Ok(());
            }
        }
        due.extend(objects.iter().filter(|object| !fresh && work.held.contains(&object.id)).cloned());
        let marks = Marks::of(&content.bundle);
        self.ensure_namespace(held, content, &marks, work).await?;
        let wanted = bundle::kinds(&objects);
        self.widen(held, content, &wanted, work).await?;
        if fresh {
            // Only now it is certain that the namespace is there and may be read.
            self.refresh_watches_soon();
        }
        self.apply(held, &marks, due, fresh, work).await?;
        if fresh || !settled {
            self.prune(held, &marks, &objects, work).await?;
        }
        if (fresh || !settled) && work.held.is_empty() {
            self.narrow(held, content, &wanted, work).await?;
        }
        if work.held.is_empty() {
            self.registry().applied(&held.identity.uid, held.accepted);
        }
        work.version = Some(held.accepted);
        Ok(())
    }

    /// Whether an object is not as it was applied, as far as the watches saw.
    fn differs(&self, object: &Desired, work: &Work) -> bool {
        match (self.index.get(&object.id), work.objects.get(&object.id)) {
            (Some(seen), Some(applied)) => seen.fingerprint != applied.fingerprint,
            _ => true,
        }
    }

    /// Whether these are as they were made, as far as the watches saw.
    fn stands(&self, ground: &BTreeMap<ObjectId, Fingerprint>) -> bool {
        ground.iter().all(|(id, made)| self.index.get(id).is_some_and(|seen| seen.fingerprint == *made))
    }

    async fn ensure_namespace(
        &self,
        held: &Environment,
        content: &HeldBundle,
        marks: &Marks,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let name = &held.namespace;
        if content.bundle.namespaces.iter().any(|namespace| namespace.owned) {
            let made = namespace::ensure(&self.api, marks, name, &held.identity.name, &self.grant).await;
            for (id, metadata) in made.map_err(|error| self.sort_out(error))? {
                self.remember_ground(work, &id, metadata);
            }
            return Ok(());
        }
        match namespace::check_base(&self.api, marks, name).await? {
            Some(_) => Ok(()),
            None => Err(Trouble::Waiting(format!("waits for namespace {name} of its base environment"))),
        }
    }

    /// Makes the parent name every kind that is about to be in the set, and keep what was accepted.
    async fn widen(
        &self,
        held: &Environment,
        content: &HeldBundle,
        wanted: &BTreeSet<GroupKind>,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        if work.parent.is_none() {
            work.parent = self.read_parent_state(held, work).await?;
        }
        let known = work.parent.as_ref();
        let mut kinds = known.map(|parent| parent.kinds.clone()).unwrap_or_default();
        kinds.extend(wanted.iter().cloned());
        let applied = known.map_or(held.applied, |parent| parent.applied);
        self.write_parent(held, content, kinds, applied, work).await
    }

    /// Makes the parent name exactly the kinds that are in the set, and what was applied in full.
    async fn narrow(
        &self,
        held: &Environment,
        content: &HeldBundle,
        wanted: &BTreeSet<GroupKind>,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        self.write_parent(held, content, wanted.clone(), Some(held.accepted), work).await
    }

    async fn write_parent(
        &self,
        held: &Environment,
        content: &HeldBundle,
        kinds: BTreeSet<GroupKind>,
        applied: Option<Version>,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let seen = work.parent.as_ref().map(|parent| parent.seen.clone());
        let state = ParentState { seen: seen.clone().unwrap_or_default(), kinds, accepted: held.accepted, applied };
        if work.parent.as_ref() == Some(&state) {
            return Ok(());
        }
        let parent = Parent {
            control_plane: content.bundle.control_plane.clone(),
            identity: held.identity.clone(),
            namespace: held.namespace.clone(),
            kinds: state.kinds.clone(),
            accepted: state.accepted,
            applied,
            tombstone: None,
            expires_at: content.bundle.expires_at,
            bundle: Some(content.bytes.clone()),
        };
        let written = self.apply_parent(&parent, seen.as_ref()).await?;
        work.parent = Some(ParentState { seen: Onto::exactly(&written), ..state });
        self.remember_ground(work, &parent_id(&held.namespace, &held.identity.uid), written);
        Ok(())
    }

    fn remember_ground(&self, work: &mut Work, id: &ObjectId, metadata: ObjectMeta) {
        work.ground.insert(id.clone(), Fingerprint::of(&metadata));
        self.index.applied(id, metadata);
    }

    /// Writes a parent onto what was seen of it: an agent that lost the Lease must not write over what its successor
    /// wrote, and never over a tombstone. Returns its metadata.
    pub(super) async fn apply_parent(&self, parent: &Parent, seen: Option<&Onto>) -> Result<ObjectMeta, Trouble> {
        let desired = Desired::read(&parent.render()).expect("a parent is named");
        let applied = match seen {
            Some(seen) => apply_onto(&self.api, &desired, seen).await,
            None => apply_object(&self.api, &parent.marks(), &desired, None).await,
        };
        applied.map(|applied| applied.metadata).map_err(|error| self.sort_out(error))
    }

    /// The first call into a namespace, tried again while the API server's authorizer does not know the agent's
    /// RoleBinding in it: it learns of it a moment after it was made.
    async fn read_parent_patiently(&self, held: &Environment) -> Result<Option<(ObjectMeta, Parent)>, CallError> {
        let mut tries = 0;
        loop {
            match self.read_parent(&held.namespace, &held.identity.uid).await {
                Err(error) if error.is_forbidden() && tries < GRANT_TRIES => tries += 1,
                other => return other,
            }
            tokio::time::sleep(GRANT_PAUSE).await;
        }
    }

    /// Applies objects that do not depend on each other. One that fails keeps none of its stage from being tried, but
    /// the next stage from beginning.
    pub(super) async fn apply_stage(
        &self,
        marks: &Marks,
        stage: Vec<Desired>,
        fresh: bool,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let applies = stage.into_iter().map(|object| {
            let known = work.objects.get(&object.id).and_then(|applied| applied.uid.clone());
            async move {
                let applied = apply_object(&self.api, marks, &object, known.as_deref()).await;
                (object, applied)
            }
        });
        let applies: Vec<_> = stream::iter(applies).buffer_unordered(AT_ONCE).collect().await;
        let mut failure = None;
        for (object, applied) in applies {
            match applied {
                Ok(applied) => {
                    let fingerprint = Fingerprint::of(&applied.metadata);
                    let uid = applied.metadata.uid.clone();
                    let seen = self.index.get(&object.id);
                    let earlier = work.objects.get(&object.id).map(|earlier| earlier.uid.clone());
                    let what = match (earlier, seen) {
                        _ if fresh => None,
                        (Some(earlier), _) if earlier != uid => Some("was gone"),
                        (_, Some(seen)) if seen.fingerprint != fingerprint => Some("had changed"),
                        _ => None,
                    };
                    if let Some(what) = what {
                        tracing::info!(object = %object.id, what, "put back");
                        work.drift.insert(format!("{} {what}; put back", object.id));
                    }
                    self.index.applied(&object.id, applied.metadata);
                    work.objects.insert(object.id, AppliedObject { uid, fingerprint, notices: applied.notices });
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), |error| Err(self.sort_out(error)))
    }

    async fn prune(
        &self,
        held: &Environment,
        marks: &Marks,
        objects: &[Desired],
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let kinds = work.parent.as_ref().map(|parent| parent.kinds.clone()).unwrap_or_default();
        let set = applyset::id(&held.namespace, &held.identity.uid);
        let members = prune::members(&self.api, &kinds, held.namespace.as_str(), marks, &set).await?;
        let wanted = objects.iter().map(|object| object.id.clone()).collect();
        let surplus = prune::surplus(members, &wanted);
        if surplus.iter().any(|member| !member.leaving && member.id.kind == "Service") {
            self.routers_follow(&held.namespace).await;
        }
        prune::delete(&self.api, &surplus).await?;
        work.objects.retain(|id, _| wanted.contains(id));
        Ok(())
    }

    async fn read_parent_state(&self, held: &Environment, work: &mut Work) -> Result<Option<ParentState>, Trouble> {
        let id = parent_id(&held.namespace, &held.identity.uid);
        work.ground.remove(&id);
        match self.read_parent_patiently(held).await? {
            None => Ok(None),
            Some((metadata, parent)) => {
                self.heed(held, &parent)?;
                let seen = Onto::exactly(&metadata);
                self.remember_ground(work, &id, metadata);
                let Parent { kinds, accepted, applied, .. } = parent;
                Ok(Some(ParentState { seen, kinds, accepted, applied }))
            }
        }
    }

    /// The fence holds against what the cluster itself remembers, too: another agent may have been further.
    fn heed(&self, held: &Environment, parent: &Parent) -> Result<(), Trouble> {
        let uid = &held.identity.uid;
        let mut registry = self.registry();
        if let Some(tombstone) = &parent.tombstone {
            registry.was_ended(uid, tombstone);
            return Err(Trouble::Waiting("it was ended before".into()));
        }
        if parent.accepted.generation > held.accepted.generation {
            registry.restore(parent);
            return Err(Trouble::Waiting(format!("generation {} was accepted before", parent.accepted.generation)));
        }
        Ok(())
    }

    /// Another environment's object that is about to go is no occupation, only something to wait for.
    pub(super) fn sort_out(&self, error: ApplyError) -> Trouble {
        match &error {
            ApplyError::Sibling { id, uid, leaving } => {
                let ended = || uid.parse::<Uid>().is_ok_and(|uid| self.is_ending(&uid));
                match *leaving || ended() {
                    true => Trouble::Waiting(format!("waits until {id} of an earlier environment is deleted")),
                    false => error.into(),
                }
            }
            _ => error.into(),
        }
    }

    fn is_ending(&self, uid: &Uid) -> bool {
        self.registry().get(uid).is_some_and(|held| held.end.is_some())
    }
}

impl Trouble {
    /// Whether the agent may not do what it tried.
    pub(super) fn is_forbidden(&self) -> bool {
        match self {
            Self::Call(error) => error.is_forbidden(),
            Self::Apply(error) => matches!(&**error, ApplyError::Call(error) if error.is_forbidden()),
            Self::Routes(_) | Self::Waiting(_) => false,
        }
    }

    /// Whether the API server knows no such object, or no such kind.
    pub(super) fn is_not_found(&self) -> bool {
        match self {
            Self::Call(error) => error.is_not_found(),
            Self::Apply(error) => matches!(&**error, ApplyError::Call(error) if error.is_not_found()),
            Self::Routes(_) | Self::Waiting(_) => false,
        }
    }

    /// What stands in the way, and whether trying again soon can help.
    pub(super) fn obstacle(&self) -> (Obstacle, bool) {
        match self {
            Self::Waiting(why) => (Obstacle::Retrying(why.clone()), true),
            Self::Routes(error) => (Obstacle::Failed(error_chain(error)), false),
            Self::Apply(error) if error.is_occupied() => (Obstacle::Occupied(sentence(error)), false),
            Self::Apply(error) if error.is_transient() => (Obstacle::Retrying(sentence(error)), true),
            Self::Apply(error) => (Obstacle::Failed(sentence(error)), false),
            Self::Call(error) if error.is_transient() => (Obstacle::Retrying(describe(error)), true),
            Self::Call(error) => (Obstacle::Failed(describe(error)), false),
        }
    }
}

fn describe(error: &CallError) -> String {
    format!("{error}: {}", error.source)
}
