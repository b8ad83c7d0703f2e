//! The agents' side of the control plane: tunnel, desired-state sync, status intake, preview gateway, HTTP API.
//!
//! It plans nothing. What should be comes out of the store, what is goes into it; the rest is moving bytes, within
//! bounds, between people, previews and agents. [`Server`] is the whole of it.

mod agents;
mod api;
mod dispatch;
mod gateway;
mod hub;
mod metrics;
mod server;
mod settings;
mod sync;
mod tunnel;

pub use api::AdminTokenError;
pub use server::{ServeError, Server};
pub use settings::{HubSettings, Limits, TlsFiles};
