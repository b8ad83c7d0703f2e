//! Git's smart HTTP for libgit2, over hyper and rustls: what libgit2 would else bring along with OpenSSL and process-wide
//! settings. Only fetching; what is fetched, and when, is [`super::fetch`]'s.
//!
//! libgit2 asks a process-wide list for a transport and calls it in the thread that fetches. So each fetch sets a
//! [`Session`] for its thread ([`within`]): who it is, how long it may take, where it may be led; and finds there,
//! typed, why an exchange failed, which libgit2 itself would give back as text.

mod error;
mod exchange;
mod request;
mod route;
mod stream;
mod trust;
mod watch;

#[cfg(test)]
mod tests;

pub(super) use error::HttpError;
pub(super) use trust::{Trust, TrustError};

use data_encoding::BASE64;
use exchange::Exchange;
use git2::{
    Remote,
    transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport},
};
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use stream::Stream;
use url::Url;

/// How servers are reached, the same for every fetch.
#[derive(Debug)]
pub(super) struct Reach {
    pub trust: Trust,
    pub proxy: Arc<Matcher>,
    /// A server that is silent for longer, while we wait for it, is given up.
    pub silence: Duration,
}

/// A token, and the only server that may see it.
struct Token {
    server: Url,
    header: HeaderValue,
}

/// One fetch, as its exchanges see it.
pub(super) struct Session {
    reach: Arc<Reach>,
    token: Option<Token>,
    deadline: Instant,
    failure: Mutex<Option<HttpError>>,
}

impl Session {
    pub fn new(reach: &Arc<Reach>, deadline: Instant) -> Self {
        Self { reach: Arc::clone(reach), token: None, deadline, failure: Mutex::default() }
    }

    /// With a user name and token for the server of this address, once it asks for them.
    pub fn with_token(self, url: &str, user: &str, token: &str) -> Self {
        let text = format!("Basic {}", BASE64.encode(format!("{user}:{token}").as_bytes()));
        let token = Url::parse(url).ok().zip(HeaderValue::try_from(text).ok()).map(|(server, mut header)| {
            header.set_sensitive(true);
            Token { server, header }
        });
        Self { token, ..self }
    }

    /// Why the first exchange that failed did.
    pub fn failure(&self) -> Option<HttpError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the reason for [`Self::failure`]; libgit2 gets its words.
    fn fail(&self, error: HttpError) -> io::Error {
        let text = lapdev_api::words::error_chain(&error);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        // git2 makes a C string of it, in a place where a panic ends the process.
        io::Error::other(text.replace('\0', ""))
    }
}

thread_local! {
    static SESSION: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// Runs what calls libgit2, so that every exchange over HTTP in it belongs to this session.
pub(super) fn within<T>(session: &Arc<Session>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<Session>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SESSION.set(self.0.take());
        }
    }
    let _restore = Restore(SESSION.replace(Some(Arc::clone(session))));
    work()
}

/// Puts our transport before libgit2's own, once per process.
///
/// # Errors
/// If libgit2 does not take it.
pub(super) fn register() -> Result<(), git2::Error> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| put().map_err(|error| error.message().to_owned()));
    registered.clone().map_err(|message| git2::Error::from_str(&message))
}

/// git2 marks it unsafe, because libgit2 keeps its list of transports without a lock.
#[allow(unsafe_code)]
fn put() -> Result<(), git2::Error> {
    for scheme in ["http", "https"] {
        // SAFETY: nobody else may read or write the list at the same time. `register` runs this once per process, and
        // `Mirrors::open` and `Bases::open`, which alone lead to any use of a remote, call it first and wait for its end.
        unsafe { git2::transport::register(scheme, begin)? };
    }
    Ok(())
}

fn begin(remote: &Remote<'_>) -> Result<Transport, git2::Error> {
    let session = SESSION.with_borrow(Clone::clone);
    let session = session.ok_or_else(|| git2::Error::from_str("a fetch over HTTP begins with a session"))?;
    // Stateless: each step is a request of its own.
    Transport::smart(remote, true, Subtransport(Exchange::new(session)?))
}

struct Subtransport(Arc<Exchange>);

impl SmartSubtransport for Subtransport {
    fn action(&self, url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match service {
            Service::UploadPackLs => Ok(Box::new(Stream::listing(&self.0, url))),
            Service::UploadPack => Ok(Box::new(Stream::pack(&self.0))),
            Service::ReceivePackLs | Service::ReceivePack => Err(git2::Error::from_str("lapdev never pushes")),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        self.0.forget();
        Ok(())
    }
}
