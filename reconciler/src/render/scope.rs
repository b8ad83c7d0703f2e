//! What may be in an environment at all: named, namespaced objects without Secret data. `validate` says so of a config
//! commit, with all places at once; a branch's own manifests, and sources in other repositories, are first seen here.

use super::{
    RenderError,
    object::{Sourced, group, kind, name, text},
    shape::misshapen,
};
use crate::validate::{is_cluster_scoped, routers_own};
use serde_json::Value;

/// Refuses the first object that may not be in an environment.
pub(super) fn check(objects: &[Sourced]) -> Result<(), RenderError> {
    objects.iter().try_for_each(check_one)
}

fn check_one(object: &Sourced) -> Result<(), RenderError> {
    let Sourced { value, place } = object;
    let (place, kind, name) = (place.clone(), kind(value).to_owned(), name(value).to_owned());
    if is_cluster_scoped(group(value), &kind) {
        return Err(RenderError::ClusterScoped { place, kind, name });
    }
    if name.is_empty() {
        return Err(RenderError::Nameless { place, kind });
    }
    let namespace = text(value, "/metadata/namespace");
    if !namespace.is_empty() {
        return Err(RenderError::ForeignNamespace { place, kind, name, namespace: namespace.to_owned() });
    }
    if let Some((field, expected)) = misshapen(value) {
        return Err(RenderError::Misshapen { place, kind, name, field, expected });
    }
    if let Some((what, mend)) = routers_own(value) {
        return Err(RenderError::RoutersOwn { place, kind, name, what, mend });
    }
    if kind == "Secret" && group(value).is_empty() && ["data", "stringData"].iter().any(|field| holds(value, field)) {
        return Err(RenderError::SecretData { place, name });
    }
    Ok(())
}

fn holds(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|data| data.as_object().is_none_or(|data| !data.is_empty()) && !data.is_null())
}
