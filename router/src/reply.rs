//! The answers that the router gives itself: a status, one line that says why and of which version, and
//! `x-lapdev-error`, by which the preview gateway knows them.

use crate::{
    h1::BadHead,
    routing::{Route, Unavailable},
};
use lapdev_api::{key::BASELINE, route::NOT_READY};

/// Seconds after which a client may try again.
pub const RETRY_AFTER: &str = "2";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Its reason phrase, for HTTP/1.
    pub reason: &'static str,
    /// The word in `x-lapdev-error`.
    pub word: &'static str,
    /// The body: one line.
    pub text: String,
    /// Whether to try again soon is worth it.
    pub retry: bool,
}

impl Reply {
    fn new(status: u16, reason: &'static str, word: &'static str, text: &str) -> Self {
        Self { status, reason, word, text: format!("lapdev: {text}\n"), retry: false }
    }

    /// The version has no endpoint to answer.
    #[must_use]
    pub fn unavailable(route: &Route, why: Unavailable) -> Self {
        let word = if why == Unavailable::AllRefuse { "unreachable" } else { NOT_READY };
        let text = format!("{} {why}", version(route));
        Self { retry: true, ..Self::new(503, "Service Unavailable", word, &text) }
    }

    /// The endpoint broke off before it answered, or answered what is no HTTP.
    #[must_use]
    pub fn broken(route: &Route, why: &str) -> Self {
        Self::new(502, "Bad Gateway", "broken-answer", &format!("{} {why}", version(route)))
    }

    /// The request is not valid.
    #[must_use]
    pub fn illegal(why: &str) -> Self {
        Self::new(400, "Bad Request", "illegal", why)
    }

    /// The head is not what the router takes.
    #[must_use]
    pub fn bad_head(why: BadHead) -> Self {
        match why {
            BadHead::Malformed(_) => Self::illegal(&why.to_string()),
            BadHead::TooLarge => Self::new(431, "Request Header Fields Too Large", "too-large", &why.to_string()),
            BadHead::Version => Self::new(505, "HTTP Version Not Supported", "version", &why.to_string()),
            BadHead::Coding => Self::new(501, "Not Implemented", "coding", &why.to_string()),
        }
    }

    /// The client did not send all of it in time.
    #[must_use]
    pub fn slow() -> Self {
        Self::new(408, "Request Timeout", "slow", "the request did not arrive in time")
    }
}

fn version(route: &Route) -> String {
    let service = &route.target.service;
    match route.version.as_str() {
        BASELINE => format!("the baseline of service {service}"),
        key => format!("service {service} of branch environment {key}"),
    }
}
