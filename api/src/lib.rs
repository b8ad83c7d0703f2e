//! The types that every other part of lapdev shares: kinds, names, identities, bundles, wire messages, views.
//!
//! Data and pure functions only: no I/O, no async runtime, no Kubernetes client. Whatever crosses a boundary between
//! two crates, or between two processes, has its type here and nowhere else.

pub mod bundle;
pub mod digest;
pub mod key;
pub mod kinds;
pub mod labels;
pub mod link;
pub mod name;
pub mod record;
pub mod route;
pub mod standing;
pub mod status;
pub mod trace_context;
pub mod view;
pub mod wire;
pub mod words;

/// The only `apiVersion` that lapdev reads and writes.
pub const API_VERSION: &str = "lapdev.dev/v1alpha1";
