//! Why an exchange over HTTP failed, and how to tell a refused certificate from a broken connection.

use hyper::StatusCode;
use std::{error::Error, io, time::Duration};
use url::{Position, Url};

/// So much of what a server says is shown.
const SHOWN: usize = 200;

type Source = Box<dyn Error + Send + Sync>;

/// A failed exchange with a git server.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum HttpError {
    #[error("its address is none that HTTP knows")]
    Address,
    #[error("it answered 401 Unauthorized")]
    Unauthorized,
    #[error("it was silent for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("the time for this fetch is over")]
    Deadline,
    #[error("TLS does not trust it")]
    Untrusted(#[source] rustls::Error),
    #[error("no connection to it")]
    Unreachable(#[source] Source),
    #[error("the connection broke")]
    Broken(#[source] Source),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered 200 with {found:?}, where git answers {wanted}; is this the address of a repository?")]
    NotGit { found: String, wanted: &'static str },
    #[error("it leads on to {to}, {why}")]
    Redirect { to: String, why: &'static str },
    #[error("it leads on to another address more than {0} times")]
    Redirects(usize),
    #[error("git asks for more than fits into a request of {0} bytes")]
    Request(usize),
    #[error("it lists refs in more than {0} bytes")]
    Listing(u64),
    #[error("it failed before")]
    Over,
    #[error("the system gives no means to wait for the network")]
    Runtime(#[source] io::Error),
}

impl HttpError {
    pub fn of_request(error: hyper_util::client::legacy::Error) -> Self {
        match untrusted(&error) {
            Some(untrusted) => Self::Untrusted(untrusted.clone()),
            None if error.is_connect() => Self::Unreachable(error.into()),
            None => Self::Broken(error.into()),
        }
    }

    pub fn of_answer(error: hyper::Error) -> Self {
        match untrusted(&error) {
            Some(untrusted) => Self::Untrusted(untrusted.clone()),
            None => Self::Broken(error.into()),
        }
    }

    /// An answer of another kind; a server may say its kind at any length.
    pub fn not_git(found: &str, wanted: &'static str) -> Self {
        Self::NotGit { found: found.chars().take(SHOWN).collect(), wanted }
    }

    /// Names a redirect's target without what may be a secret in it.
    pub fn redirect(to: &Url, why: &'static str) -> Self {
        Self::Redirect { to: to[..Position::AfterPath].chars().take(SHOWN).collect(), why }
    }
}

/// A certificate that was refused. What else TLS finds wrong is a broken connection.
fn untrusted<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    find::<rustls::Error>(error).filter(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// The first error of a type in a chain. An `io::Error` hides what it wraps from the chain.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    next.and_then(find)
}
