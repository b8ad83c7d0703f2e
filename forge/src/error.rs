//! Why a call to a forge failed, sorted by what the caller can do about it.

use jiff::Timestamp;
use std::error::Error;

/// A call to a forge that failed.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// There is none, or none that the credentials may see; which of the two, forges do not say.
    #[error("{what}: the forge answered 404; check the name, and that the credentials may read the repository")]
    NotFound {
        /// What was attempted, and on what.
        what: String,
    },
    /// The credentials are wrong, expired or too narrow.
    #[error("{what}: the forge refused the credentials ({message}); renew them or widen their permissions")]
    Unauthorized {
        /// What was attempted, and on what.
        what: String,
        /// The forge's words.
        message: String,
    },
    /// Too many calls, of the primary or the secondary kind. Calls before `until` make it worse.
    #[error("{what}: the forge's rate limit is used up")]
    RateLimited {
        /// What was attempted, and on what.
        what: String,
        /// When to try again.
        until: Timestamp,
    },
    /// No usable answer: no connection, a timeout, or the forge's own failure. Whether a write took place is unknown.
    #[error("{what}: the forge could not be reached or failed ({message}); it is tried again")]
    Unavailable {
        /// What was attempted, and on what.
        what: String,
        /// What happened instead.
        message: String,
        /// The cause below, if there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A listing that does not hang together: its end was not seen, so what it lacks is not known.
    #[error("{what}: the listing is incomplete ({message}); nothing is concluded from it")]
    Partial {
        /// What was attempted, and on what.
        what: String,
        /// What did not fit.
        message: String,
    },
    /// The forge answered something that it should not have, or refused a request as malformed.
    #[error("{what}: unexpected answer of the forge: {message}")]
    Unexpected {
        /// What was attempted, and on what.
        what: String,
        /// What it was.
        message: String,
    },
}
