//! Events of a forge, inward: authenticated, recorded in the ledger, answered. Nothing else happens here: a delivery
//! only says "look now", and the reconciler, which watches the ledger, looks for itself.
//!
//! The order is fixed: signature before content, ledger before answer. So nobody without a secret gets a byte parsed,
//! and what was answered with 2xx survives a power cut.

mod body;
mod facts;
mod intake;
mod signature;

#[cfg(test)]
mod tests;

pub use facts::{Facts, FactsError, Repository, facts};
pub use intake::routes;
pub use signature::{NoSecret, WebhookSecret};
