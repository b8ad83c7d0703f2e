//! Applies one object: whose is it, apply unforced, and on a conflict what [`super::conflict`] decided.

use crate::{
    apiserver::{ApiServer, CallError, CallFailure, Kind},
    apply::{conflict, path},
    object::{Desired, Marks, ObjectId, Standing},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::BTreeSet;

/// What came of an apply.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The object's metadata as the API server answered it.
    pub metadata: ObjectMeta,
    /// What people should know: fields put back, fields that others own.
    pub notices: BTreeSet<String>,
}

/// Why an object was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else's object stands there; it was not touched.
    #[error("{id} exists and {whose}; it was left untouched: remove it or choose another name")]
    Occupied {
        /// Which object.
        id: ObjectId,
        /// Whose it is, in words.
        whose: String,
    },
    /// Another environment's object of the same control plane stands there; it was not touched.
    #[error("{id} belongs to environment {uid}; it was left untouched")]
    Sibling {
        /// Which object.
        id: ObjectId,
        /// Whose it is.
        uid: String,
        /// Whether it is being deleted.
        leaving: bool,
    },
    /// The object may not be in a bundle.
    #[error("{id}: {why}")]
    Unacceptable {
        /// Which object.
        id: ObjectId,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The API server refused it or did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ApplyError {
    /// Whether somebody else's object stands in the way.
    #[must_use]
    pub fn is_occupied(&self) -> bool {
        matches!(self, Self::Occupied { .. } | Self::Sibling { .. })
    }

    /// Whether trying again can help without a new revision.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Occupied { .. } | Self::Unacceptable { .. } => false,
            Self::Sibling { leaving, .. } => *leaving,
            Self::Call(error) => error.is_transient(),
        }
    }
}

/// The object that an apply is meant for: on any other it does nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Onto {
    uid: Option<String>,
    version: Option<String>,
}

impl Onto {
    /// The object as it was seen, and no later version of it.
    #[must_use]
    pub fn exactly(seen: &ObjectMeta) -> Self {
        Self { uid: seen.uid.clone(), version: seen.resource_version.clone() }
    }

    /// That object in whatever version.
    fn any_version(uid: Option<&str>) -> Self {
        Self { uid: uid.map(ToOwned::to_owned), version: None }
    }

    fn demand(self, object: &mut Value) {
        for (field, value) in [("uid", self.uid), ("resourceVersion", self.version)] {
            if let Some(value) = value {
                object["metadata"][field] = value.into();
            }
        }
    }
}

/// Applies one object onto what was seen of it. What anybody wrote since stands, also if this request comes late: the
/// conflict is the caller's, who has to look again.
///
/// # Errors
/// As [`apply_object`].
pub async fn apply_onto(api: &ApiServer, desired: &Desired, onto: &Onto) -> Result<Applied, ApplyError> {
    let kind = api.kind(&desired.gvk()).await?;
    attempt(api, &kind, desired, onto.clone()).await
}

/// Applies one object. `known` is the uid of the object that this environment applied before, if it did; without one,
/// metadata is read first, because server-side apply would adopt anybody's object silently.
///
/// # Errors
/// [`ApplyError::Occupied`] leaves the cluster as it was.
pub async fn apply_object(
    api: &ApiServer,
    marks: &Marks,
    desired: &Desired,
    known: Option<&str>,
) -> Result<Applied, ApplyError> {
    let kind = api.kind(&desired.gvk()).await?;
    if !kind.namespaced && desired.id.kind != "Namespace" {
        let why = "an environment holds namespaced objects only";
        return Err(ApplyError::Unacceptable { id: desired.id.clone(), why });
    }
    if let Some(uid) = known {
        match attempt(api, &kind, desired, Onto::any_version(Some(uid))).await {
            // Another object took its place since: look again.
            Err(ApplyError::Call(error)) if error.status().is_some_and(|status| status.is_conflict()) => {}
            other => return other,
        }
    }
    let seen = seen(api, &kind, marks, &desired.id).await?;
    attempt(api, &kind, desired, Onto::any_version(seen.as_deref())).await
}

/// The uid of the object that stands there, if it is ours.
async fn seen(api: &ApiServer, kind: &Kind, marks: &Marks, id: &ObjectId) -> Result<Option<String>, ApplyError> {
    let Some(metadata) = api.metadata(kind, id).await? else { return Ok(None) };
    let occupied = |whose: String| ApplyError::Occupied { id: id.clone(), whose };
    match marks.standing(&metadata) {
        Standing::Ours => Ok(metadata.uid),
        Standing::Sibling(uid) => {
            Err(ApplyError::Sibling { id: id.clone(), uid, leaving: metadata.deletion_timestamp.is_some() })
        }
        Standing::OtherControlPlane(plane) => Err(occupied(format!("belongs to control plane {plane}"))),
        Standing::Foreign => Err(occupied("carries no lapdev label".into())),
    }
}

/// Unforced, with what was seen as precondition; a second time without the fields of others, if they own some.
async fn attempt(api: &ApiServer, kind: &Kind, desired: &Desired, onto: Onto) -> Result<Applied, ApplyError> {
    let mut object = desired.value.clone();
    onto.demand(&mut object);
    let error = match api.apply(kind, &desired.id, &object, false).await {
        Ok(metadata) => return Ok(Applied { metadata, notices: BTreeSet::new() }),
        Err(error) => error,
    };
    let conflicts = error.status().map(conflict::conflicts).unwrap_or_default();
    if conflicts.is_empty() {
        return Err(error.into());
    }
    let Some(live) = api.metadata(kind, &desired.id).await? else { return Err(error.into()) };
    let resolution = conflict::resolve(&desired.id.to_string(), &conflicts, &live);
    for field in &resolution.leave {
        if !path::remove(&mut object, field) {
            return Err(error.into());
        }
    }
    let metadata = api.apply(kind, &desired.id, &object, resolution.force).await?;
    Ok(Applied { metadata, notices: resolution.notices })
}

/// The sentence for people: what failed, and the API server's own words.
#[must_use]
pub fn sentence(error: &ApplyError) -> String {
    match error {
        ApplyError::Call(call) => match &call.source {
            CallFailure::Unreachable(cause) => format!("{call}: {}: {cause}", call.source),
            failure => format!("{call}: {failure}"),
        },
        other => other.to_string(),
    }
}
