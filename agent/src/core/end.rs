//! The end of an environment, in an order that survives a crash at any point: the tombstone is written on the parent,
//! the members go, then the parent, and at last the namespace if it was the environment's own.

use super::{Core, Work, converge::Trouble, usual_kinds};
use crate::{
    apiserver::{ApiServer, CallError, Kind},
    apply::{Onto, namespace, order},
    applyset::{self, Parent},
    drift::Outcome,
    object::{GroupKind, Marks, ObjectId, Standing, annotation, label},
    prune::{self, Member},
    registry::{End, Environment},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::GroupVersionKind;
use lapdev_api::{
    labels,
    name::{Namespace, Uid},
};
use std::{collections::BTreeSet, sync::PoisonError};

/// Namespaces that are swept at the same time.
const AT_ONCE: usize = 8;

impl Core {
    /// One step towards the end. True: nothing is left.
    pub(super) async fn end(&self, held: &Environment, end: &End) -> Result<bool, Trouble> {
        let namespace = held.namespace.as_str();
        let namespace_metadata = self.api.metadata(&self.namespaces().await?, &namespace::id(namespace)).await?;
        let Some(namespace_metadata) = namespace_metadata else {
            self.gone(held, end);
            return Ok(true);
        };
        let ended = self.end_in(held, end, &namespace_metadata).await;
        if self.regain(&namespace_metadata, ended).await? {
            self.gone(held, end);
            return Ok(true);
        }
        Ok(false)
    }

    async fn end_in(&self, held: &Environment, end: &End, namespace: &ObjectMeta) -> Result<bool, Trouble> {
        // A namespace that is going takes everything with it, and refuses every write.
        if namespace.deletion_timestamp.is_none() && !self.end_members(held, end).await? {
            return Ok(false);
        }
        let owned = self.marks(&held.identity.uid)?.standing(namespace) == Standing::Ours;
        Ok(!owned || self.end_namespace(held, namespace).await?)
    }

    /// Passes on what came of a look into a namespace. Where the agent was forbidden to look, it first takes back its
    /// right there, since that it may not look never means that there is nothing.
    async fn regain(&self, namespace: &ObjectMeta, looked: Result<bool, Trouble>) -> Result<bool, Trouble> {
        if looked.as_ref().is_err_and(Trouble::is_forbidden)
            && let Err(trouble) = self.bind(namespace).await
        {
            tracing::warn!(namespace = namespace.name, %trouble, "cannot bind the agent to its role");
        }
        looked
    }

    /// Binds the agent to its role in a namespace of this control plane: made and never bound, or somebody took it.
    async fn bind(&self, namespace: &ObjectMeta) -> Result<(), Trouble> {
        let name = namespace.name.as_deref().and_then(|name| name.parse().ok());
        let owner = label(namespace, labels::ENVIRONMENT).and_then(|uid| uid.parse().ok());
        let Some((name, owner)) = name.zip(owner) else { return Ok(()) };
        let marks = self.marks(&owner)?;
        if namespace.deletion_timestamp.is_none() && marks.standing(namespace) == Standing::Ours {
            namespace::bind(&self.api, &marks, &name, &self.grant).await?;
        }
        Ok(())
    }

    /// Deletes the members and then the parent. True: there is neither.
    async fn end_members(&self, held: &Environment, end: &End) -> Result<bool, Trouble> {
        let uid = &held.identity.uid;
        let (namespace, marks) = (held.namespace.as_str(), self.marks(uid)?);
        let Some((metadata, mut parent)) = self.read_parent(&held.namespace, uid).await? else {
            // Without an inventory, because somebody took or broke it, labels must do.
            self.leave_table(held).await?;
            let left = self.labelled(namespace, &marks).await?;
            self.delete_unrouted(held, &left).await?;
            return Ok(left.is_empty());
        };
        if let End::Tombstone(tombstone) = end
            && parent.tombstone.as_ref() != Some(tombstone)
        {
            parent.tombstone = Some(tombstone.clone());
            self.apply_parent(&parent, Some(&Onto::exactly(&metadata))).await?;
        }
        self.leave_table(held).await?;
        let set = applyset::id(&held.namespace, uid);
        let mut members = prune::members(&self.api, &parent.kinds, namespace, &marks, &set).await?;
        members.extend(self.claims(&parent).await?);
        if !members.is_empty() {
            self.delete_unrouted(held, &prune::surplus(members, &BTreeSet::new())).await?;
            return Ok(false);
        }
        let id = parent_id(&held.namespace, uid);
        tracing::info!(object = %id, "delete");
        self.api.delete(&self.config_maps().await?, &id, metadata.uid.as_deref().unwrap_or_default()).await?;
        Ok(true)
    }

    /// The routing table first, so that no request goes to what is about to be deleted.
    async fn leave_table(&self, held: &Environment) -> Result<(), Trouble> {
        match self.route(held, &mut Work::default()).await {
            Err(trouble) if !trouble.obstacle().1 => {
                // What keeps the table from being written for good must not keep what ended alive.
                tracing::warn!(uid = %held.identity.uid, %trouble, "the routing table stays as it is");
                Ok(())
            }
            other => other,
        }
    }

    /// Deletes these, of a branch once the routers know of its end.
    async fn delete_unrouted(&self, held: &Environment, members: &[Member]) -> Result<(), CallError> {
        if held.identity.branch.is_some() && members.iter().any(|member| !member.leaving) {
            self.routers_follow(&held.namespace).await;
        }
        prune::delete(&self.api, members).await
    }

    /// The volume claims that a Branch's StatefulSets made: their controller leaves them behind, and the base's
    /// namespace stays.
    async fn claims(&self, parent: &Parent) -> Result<Vec<Member>, CallError> {
        let Some(branch) = &parent.identity.branch else { return Ok(Vec::new()) };
        let claims = GroupKind { group: String::new(), kind: "PersistentVolumeClaim".into() };
        let kind = self.api.preferred_kind(&claims).await?;
        let selector = format!("{}={}", labels::BRANCH, branch.key);
        let listed = self.api.list(&kind, parent.namespace.as_str(), &selector).await?;
        Ok(listed.into_iter().filter_map(|metadata| claim(&kind, &parent.namespace, metadata)).collect())
    }

    /// Deletes the environment's own namespace, once no other environment has anything in it. True: it is gone.
    async fn end_namespace(&self, held: &Environment, metadata: &ObjectMeta) -> Result<bool, Trouble> {
        if metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        self.alone_in(held.namespace.as_str(), &held.identity.uid).await?;
        let id = namespace::id(held.namespace.as_str());
        tracing::info!(object = %id, "delete");
        self.api.delete(&self.namespaces().await?, &id, metadata.uid.as_deref().unwrap_or_default()).await?;
        Ok(false)
    }

    /// Waits while other environments have a parent in this namespace: they would go with it.
    async fn alone_in(&self, namespace: &str, uid: &Uid) -> Result<(), Trouble> {
        let listed = self.api.list(&self.config_maps().await?, namespace, labels::APPLYSET_ID).await?;
        let others = listed.iter().filter(|metadata| {
            label(metadata, labels::CONTROL_PLANE).is_some()
                && label(metadata, labels::ENVIRONMENT) != Some(uid.as_str())
        });
        let name = |metadata| annotation(metadata, labels::ENVIRONMENT_NAME).unwrap_or("another environment");
        let others: BTreeSet<_> = others.map(name).collect();
        if others.is_empty() {
            return Ok(());
        }
        let others: Vec<_> = others.into_iter().collect();
        Err(Trouble::Waiting(format!("namespace {namespace} stays until {} ended too", others.join(", "))))
    }

    /// What may be left of an environment that is not held: looked for once for each tombstone.
    pub(super) async fn sweep(&self, uid: &Uid) -> Outcome {
        let Some(tombstone) = self.sweeps().get(uid).cloned() else { return Outcome::Settled(None) };
        match self.sweep_once(uid).await {
            Ok(true) => {
                self.sweeps().remove(uid);
                self.outbox.gone(uid, tombstone.generation);
                Outcome::Settled(None)
            }
            Ok(false) => Outcome::Retry,
            Err(trouble) => {
                tracing::warn!(%uid, %trouble, "cannot look for what is left of an ended environment");
                Outcome::Retry
            }
        }
    }

    async fn sweep_once(&self, uid: &Uid) -> Result<bool, Trouble> {
        let marks = self.marks(uid)?;
        let plane = format!("{}={}", labels::CONTROL_PLANE, marks.control_plane);
        let namespaces = self.api.list(&self.namespaces().await?, "", &plane).await?;
        let sweep = async |namespace| {
            let swept = self.sweep_namespace(namespace, &marks).await;
            self.regain(namespace, swept).await
        };
        let sweeps: Vec<_> = namespaces.iter().map(sweep).collect();
        let clean: Vec<bool> = stream::iter(sweeps).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(clean.into_iter().all(|clean| clean))
    }

    /// True: there was nothing of it.
    async fn sweep_namespace(&self, namespace: &ObjectMeta, marks: &Marks) -> Result<bool, Trouble> {
        let name = namespace.name.clone().unwrap_or_default();
        let mut clean = true;
        if namespace.deletion_timestamp.is_none() {
            let left = self.labelled(&name, marks).await?;
            clean = left.is_empty();
            prune::delete(&self.api, &left).await?;
        }
        if marks.standing(namespace) == Standing::Ours {
            clean = false;
            if namespace.deletion_timestamp.is_none() {
                self.alone_in(&name, &marks.uid).await?;
            }
            let (id, uid) = (namespace::id(&name), namespace.uid.as_deref().unwrap_or_default());
            self.api.delete(&self.namespaces().await?, &id, uid).await?;
        }
        Ok(clean)
    }

    async fn labelled(&self, namespace: &str, marks: &Marks) -> Result<Vec<Member>, CallError> {
        let mut left = prune::labelled(&self.api, &usual_kinds(), namespace, marks, &marks.selector()).await?;
        // The agent's own right to work there goes with the namespace.
        left.retain(|member| member.id.kind != "RoleBinding" || member.id.name != namespace::ROLE_BINDING);
        left.sort_by_key(|member| std::cmp::Reverse(order::rank(&member.id)));
        Ok(left)
    }

    /// Nothing of it is left. One whose ttl ended stays known until the control plane says that it ended.
    fn gone(&self, held: &Environment, end: &End) {
        let uid = &held.identity.uid;
        self.forget_routes(&held.namespace, uid);
        if let End::Tombstone(tombstone) = end {
            tracing::info!(%uid, evidence = tombstone.evidence, "gone");
            self.registry().forget(uid);
            self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
            self.outbox.gone(uid, tombstone.generation);
        }
        self.refresh_watches_soon();
    }

    /// An environment's parent and its metadata, if there is one.
    pub(super) async fn read_parent(
        &self,
        namespace: &Namespace,
        uid: &Uid,
    ) -> Result<Option<(ObjectMeta, Parent)>, CallError> {
        let found = self.api.get(&self.config_maps().await?, &parent_id(namespace, uid)).await?;
        Ok(found.and_then(|object| {
            let metadata = object.metadata.clone();
            let parent = object.try_parse::<ConfigMap>().map_err(|error| error.to_string());
            match parent.and_then(|object| Parent::read(&object).map_err(|error| error.to_string())) {
                Ok(parent) => Some((metadata, parent)),
                Err(error) => {
                    tracing::warn!(%uid, %namespace, error, "the inventory cannot be read; it is written anew");
                    None
                }
            }
        }))
    }

    pub(super) async fn namespaces(&self) -> Result<Kind, CallError> {
        kind(&self.api, "Namespace").await
    }

    pub(super) async fn config_maps(&self) -> Result<Kind, CallError> {
        kind(&self.api, "ConfigMap").await
    }

    fn marks(&self, uid: &Uid) -> Result<Marks, Trouble> {
        let session = self.session().ok_or_else(|| Trouble::Waiting("waits for its control plane".into()))?;
        Ok(Marks { control_plane: session.control_plane, uid: uid.clone() })
    }
}

async fn kind(api: &ApiServer, kind: &str) -> Result<Kind, CallError> {
    api.kind(&GroupVersionKind::gvk("", "v1", kind)).await
}

fn claim(kind: &Kind, namespace: &Namespace, metadata: ObjectMeta) -> Option<Member> {
    let leaving = metadata.deletion_timestamp.is_some();
    let id = ObjectId {
        group: String::new(),
        kind: "PersistentVolumeClaim".into(),
        namespace: namespace.to_string(),
        name: metadata.name?,
    };
    Some(Member { kind: kind.clone(), id, uid: metadata.uid?, leaving })
}

/// The id of an environment's parent.
pub(super) fn parent_id(namespace: &Namespace, uid: &Uid) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: namespace.to_string(),
        name: labels::parent_name(uid),
    }
}
