//! The agent's half of the tunnel: dials the hub, keeps one session, and forwards the previews' requests.
//!
//! It applies nothing and knows no Kubernetes: what the hub says goes to a [`Cluster`], what that has to say comes out
//! of an [`Outbox`]. [`run`] goes on until it is told to stop; a lost hub only ends a session.

mod backoff;
mod bundle;
mod cluster;
mod control;
mod dial;
mod forward;
mod outbox;
pub mod probe;
mod run;
mod session;
mod settings;
mod switch;

pub(crate) use backoff::up_to;
pub use cluster::{Accept, Cluster, DialRefused, ReceivedBundle};
pub use outbox::Outbox;
pub use probe::TraceRefused;
pub use run::{TunnelState, run};
pub use settings::TunnelSettings;
