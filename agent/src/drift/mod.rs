//! What makes an environment be looked at again: the work queue, and the fingerprints that tell a changed object from
//! one that is as it was applied.

mod fingerprint;
mod queue;

pub use fingerprint::Fingerprint;
pub use queue::{Outcome, Queue};
