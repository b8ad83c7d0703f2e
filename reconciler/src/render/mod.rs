//! Rendering: a catalog's objects, and what an environment makes of them, to the bundle that its cluster applies. Pure
//! and deterministic: the same inputs give the same bytes.
//!
//! [`base`] renders Personal and Shared environments, [`branch`] Branch ones, with the workloads that [`choose`] chose.
//! The objects come from the kustomize renderer; reading them out of git is `run`'s.

mod base;
mod branch;
mod choose;
mod config_maps;
mod error;
mod image;
mod labels;
mod network_policies;
mod object;
mod overrides;
mod previews;
mod routed;
mod scope;
mod selector;
mod services;
mod shape;
#[cfg(test)]
mod tests;

pub use base::base;
pub use branch::{BranchSource, branch};
pub use choose::{Choice, Chosen, choose};
pub use error::RenderError;
pub use object::Sourced;
pub(crate) use routed::run_by;

use jiff::Timestamp;
use lapdev_api::{
    bundle::{Bundle, BundleNamespace, CanonicalBundle, Identity, Target},
    name::{ControlPlaneId, Namespace},
    record::{PreviewRecord, Problem, Reason},
    wire::MAX_BUNDLE,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The routers of each base, as the operator sets them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouterSettings {
    /// Their image.
    pub image: String,
    /// Whether answers say which version gave them.
    pub served_by: bool,
    /// How long a request waits for a branch's pods, in seconds.
    pub hold_seconds: u32,
}

impl Default for RouterSettings {
    fn default() -> Self {
        let image = concat!("lapdev/lapdev-router:", env!("CARGO_PKG_VERSION")).to_owned();
        Self { image, served_by: true, hold_seconds: 10 }
    }
}

/// The names of the Services among a source's objects.
pub(crate) fn service_names(source: &[Sourced]) -> BTreeSet<String> {
    base::service_names(source)
}

/// Whose rendering it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Whose objects these are.
    pub control_plane: ControlPlaneId,
    /// Which environment.
    pub identity: Identity,
    /// Where its objects go.
    pub namespace: Namespace,
    /// Where its previews are served, if anywhere.
    pub preview_domain: Option<String>,
    /// When the agent ends it by itself.
    pub expires_at: Option<Timestamp>,
    /// How a base's routers are set up.
    pub router: RouterSettings,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The bundle.
    pub bundle: CanonicalBundle,
    /// What is said about it.
    pub notes: Notes,
}

/// What is said about a rendering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// What people may open.
    pub previews: Vec<PreviewRecord>,
    /// Why each workload runs.
    pub reasons: Vec<Reason>,
    /// What is not as it should be, though it stops nothing.
    pub problems: Vec<Problem>,
    /// The Services of a Branch, by their own names: copies of the base's and new ones.
    pub services: BTreeSet<String>,
}

fn finish(
    context: &Context,
    namespace: BundleNamespace,
    objects: Vec<Value>,
    notes: Notes,
) -> Result<Rendered, RenderError> {
    let bundle = Bundle {
        control_plane: context.control_plane.clone(),
        environment: context.identity.clone(),
        target: Target::Host,
        namespaces: vec![namespace],
        previews: previews::targets(&notes.previews),
        expires_at: context.expires_at,
        objects,
    };
    let bundle = bundle.canonical();
    let size = bundle.bytes().len();
    if size > MAX_BUNDLE {
        return Err(RenderError::TooLarge { size, limit: MAX_BUNDLE });
    }
    Ok(Rendered { bundle, notes })
}
