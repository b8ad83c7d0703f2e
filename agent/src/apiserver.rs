//! The one door to the cluster's API server: discovery, reads, applies and deletes, each with a timeout and within a
//! bound on how many run at once.
//!
//! It decides nothing. Retries of an overloaded server (429, 503, 504) are kube's own retry layer's; everything else
//! is the caller's work queue's.

use crate::object::ObjectId;
use k8s_openapi::{api::authentication::v1::SelfSubjectReview, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta, Status},
    discovery::{self, Scope},
};
use lapdev_api::labels::FIELD_MANAGER;
use serde_json::Value;
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long one call may take, its retries included.
const CALL: Duration = Duration::from_secs(30);
/// How many calls run at once.
const AT_ONCE: usize = 24;
/// Objects in one page of a listing.
const PAGE: u32 = 500;

/// A kind as this API server serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Its names.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// A call to the API server that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempt}")]
pub struct CallError {
    /// What was attempted, on what, as an infinitive.
    pub attempt: String,
    /// Why it failed.
    pub source: CallFailure,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// The API server refused it, and says why.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// It serves no such kind.
    #[error("the API server serves no such kind; install its CustomResourceDefinition first")]
    UnknownKind,
    /// No answer in time.
    #[error("no answer within {} s", CALL.as_secs())]
    Timeout,
    /// No answer at all.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<kube::Error>),
}

impl CallError {
    /// The API server's answer, if it gave one.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match &self.source {
            CallFailure::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// Whether trying again can help without any change: no answer, or an answer about the server itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.source {
            CallFailure::Refused(status) => {
                let leaving = status.is_forbidden() && status.message.contains("is being terminated");
                status.code >= 500 || status.code == 429 || status.is_conflict() || leaving
            }
            CallFailure::UnknownKind => false,
            CallFailure::Timeout | CallFailure::Unreachable(_) => true,
        }
    }

    /// Whether the agent has no right to do what it tried.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        // A quota is "forbidden" too, but says so.
        self.status().is_some_and(|status| status.is_forbidden() && !status.message.contains("quota"))
    }

    /// Whether the API server says that there is no such object (or no such kind any more).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        // A path that it does not serve at all is answered by 404 without a reason.
        matches!(self.source, CallFailure::UnknownKind) || self.status().is_some_and(|status| status.code == 404)
    }
}

/// A connection to one API server. Clones share everything.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    kinds: Arc<Mutex<HashMap<GroupVersionKind, Kind>>>,
    permits: Arc<Semaphore>,
    writes: Arc<AtomicU64>,
}

impl ApiServer {
    /// Wraps a client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self { client, kinds: Arc::default(), permits, writes: Arc::default() }
    }

    /// The client, for watches.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// How many writes were sent so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// `gitVersion`.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn version(&self) -> Result<String, CallError> {
        let info = self.call(|| "read the API server's version".into(), self.client.apiserver_version()).await?;
        Ok(info.git_version)
    }

    /// The user that the agent is, as the API server knows it.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub async fn myself(&self) -> Result<String, CallError> {
        let api = Api::<SelfSubjectReview>::all(self.client.clone());
        let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
        let answer = self.call(|| "ask the API server who we are".into(), api.create(&parameters, &review)).await?;
        Ok(answer.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default())
    }

    /// The kind behind a name, from memory or from the API server.
    ///
    /// # Errors
    /// [`CallFailure::UnknownKind`] when it serves no such kind now.
    pub async fn kind(&self, gvk: &GroupVersionKind) -> Result<Kind, CallError> {
        if let Some(kind) = self.lock_kinds().get(gvk) {
            return Ok(kind.clone());
        }
        let attempt = || format!("discover {}/{}", gvk.api_version(), gvk.kind);
        let unknown = || CallError { attempt: attempt(), source: CallFailure::UnknownKind };
        let found = self.call(attempt, discovery::pinned_kind(&self.client, gvk)).await;
        let (resource, capabilities) = match found {
            Err(error) if error.is_not_found() => return Err(unknown()),
            other => other?,
        };
        let kind = Kind { resource, namespaced: capabilities.scope == Scope::Namespaced };
        self.lock_kinds().insert(gvk.clone(), kind.clone());
        Ok(kind)
    }

    /// The kind of that group and name in the version that the API server prefers.
    ///
    /// # Errors
    /// [`CallFailure::UnknownKind`] when it serves no such kind now.
    pub async fn preferred_kind(&self, kind: &crate::object::GroupKind) -> Result<Kind, CallError> {
        let known = self
            .lock_kinds()
            .values()
            .find(|known| known.resource.group == kind.group && known.resource.kind == kind.kind)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let attempt = || format!("discover {kind}");
        let unknown = || CallError { attempt: attempt(), source: CallFailure::UnknownKind };
        if kind.group.is_empty() {
            return self.kind(&GroupVersionKind::gvk("", "v1", &kind.kind)).await;
        }
        let group = match self.call(attempt, discovery::group(&self.client, &kind.group)).await {
            Err(error) if error.is_not_found() => return Err(unknown()),
            other => other?,
        };
        let (resource, _) = group.recommended_kind(&kind.kind).ok_or_else(unknown)?;
        self.kind(&GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind)).await
    }

    /// Forgets what was discovered: a kind may have come, gone or changed its version.
    pub fn forget_kinds(&self) {
        self.lock_kinds().clear();
    }

    /// An object's metadata, if it exists.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub async fn metadata(&self, kind: &Kind, id: &ObjectId) -> Result<Option<ObjectMeta>, CallError> {
        let api = self.objects(kind, &id.namespace);
        let found = self.call(|| format!("read {id}"), api.get_metadata_opt(&id.name)).await?;
        Ok(found.map(|object| object.metadata))
    }

    /// An object, if it exists.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub async fn get(&self, kind: &Kind, id: &ObjectId) -> Result<Option<DynamicObject>, CallError> {
        self.call(|| format!("read {id}"), self.objects(kind, &id.namespace).get_opt(&id.name)).await
    }

    /// Server-side apply; answers with the metadata that came of it.
    ///
    /// # Errors
    /// When the API server does not answer or refuses; a conflict is a refusal.
    pub async fn apply(
        &self,
        kind: &Kind,
        id: &ObjectId,
        object: &Value,
        force: bool,
    ) -> Result<ObjectMeta, CallError> {
        let mut parameters = PatchParams::apply(FIELD_MANAGER);
        parameters.force = force;
        let api = self.objects(kind, &id.namespace);
        self.writes.fetch_add(1, Ordering::Relaxed);
        let patch = Patch::Apply(object);
        let answer = self.call(|| format!("apply {id}"), api.patch_metadata(&id.name, &parameters, &patch)).await?;
        Ok(answer.metadata)
    }

    /// Deletes exactly this object (its uid is the precondition), and what it owns before it. Already gone is fine.
    ///
    /// # Errors
    /// When the API server does not answer or refuses.
    pub async fn delete(&self, kind: &Kind, id: &ObjectId, uid: &str) -> Result<(), CallError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let api = self.objects(kind, &id.namespace);
        self.writes.fetch_add(1, Ordering::Relaxed);
        match self.call(|| format!("delete {id}"), api.delete(&id.name, &parameters)).await {
            // 409: another object of that name took its place, which is not ours to delete.
            Err(error) if error.is_not_found() || error.status().is_some_and(Status::is_conflict) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The metadata of every object of a kind that the selector matches, in a namespace or (empty) in all.
    ///
    /// # Errors
    /// When the API server does not answer or refuses: a part is never returned for the whole.
    pub async fn list(&self, kind: &Kind, namespace: &str, selector: &str) -> Result<Vec<ObjectMeta>, CallError> {
        let api = self.objects(kind, namespace);
        let mut parameters = ListParams::default().labels(selector).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let attempt = || format!("list {} in {namespace:?}", kind.resource.plural);
            let page: kube::core::ObjectList<PartialObjectMeta<DynamicObject>> =
                self.call(attempt, api.list_metadata(&parameters)).await?;
            found.extend(page.items.into_iter().map(|object| object.metadata));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Runs one call with a permit and a timeout.
    ///
    /// # Errors
    /// Its own, sorted by what can be done about it.
    pub async fn call<T>(
        &self,
        attempt: impl FnOnce() -> String,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        let _permit = self.permits.acquire().await;
        let source = match tokio::time::timeout(CALL, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) => CallFailure::Refused(status),
            Ok(Err(kube::Error::Discovery(_))) => CallFailure::UnknownKind,
            Ok(Err(other)) => CallFailure::Unreachable(Box::new(other)),
            Err(_) => CallFailure::Timeout,
        };
        Err(CallError { attempt: attempt(), source })
    }

    fn objects(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), &kind.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
        }
    }

    fn lock_kinds(&self) -> std::sync::MutexGuard<'_, HashMap<GroupVersionKind, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
