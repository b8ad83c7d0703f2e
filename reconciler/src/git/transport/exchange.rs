//! Requests and answers of one fetch: where the repository is by now, whether its server wants to know who we are, and
//! waiting, which ends with the fetch's deadline or the server's silence.
//!
//! It has a runtime of its own, on the thread that fetches: libgit2 calls from threads that may block, with or without
//! tokio around them, and what would go on behind an answer, connections above all, ends with the runtime. `Handle::block_on`
//! of the process's runtime would leave connections in it, and there is none where a remote base is fetched. The one thing that
//! cannot be ended is the system's look-up of a name: it holds the thread until it gives up.

use super::{
    HttpError, Session,
    request::{Ask, follow, is_same_server, location, repository},
    route::Route,
    watch::{Activity, Watching},
};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// So often a server may lead on.
pub(super) const MAX_REDIRECTS: usize = 5;

/// A connection that was not used for longer may have been closed by its server, which nobody noticed: between two
/// requests nothing runs.
const IDLE: Duration = Duration::from_secs(2);

pub(super) struct Exchange {
    client: Client<HttpsConnector<Route>, Full<Bytes>>,
    /// There until it is dropped.
    runtime: Option<Runtime>,
    activity: Activity,
    session: Arc<Session>,
    known: Mutex<Known>,
}

/// What the first answers told.
#[derive(Default)]
struct Known {
    repository: Option<Url>,
    /// It asked who we are, and was told.
    authorized: bool,
}

impl Exchange {
    pub fn new(session: Arc<Session>) -> Result<Arc<Self>, git2::Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| git2::Error::from_str(&session.fail(HttpError::Runtime(error)).to_string()))?;
        let (activity, tls) = (Activity::new(), session.reach.trust.config());
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(session.reach.silence));
        let tcp = Watching { tcp, activity: activity.clone(), to_proxy: false };
        let route = Route { tcp, proxy: Arc::clone(&session.reach.proxy), tls: Arc::clone(&tls) };
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(HttpsConnector::from((route, tls)));
        Ok(Arc::new(Self { client, runtime: Some(runtime), activity, session, known: Mutex::default() }))
    }

    /// The listing of a repository's refs. Where it was found is where later requests go.
    pub fn listing(&self, address: &str) -> Result<Incoming, HttpError> {
        let mut url = repository(address)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(Ask::Refs, &url, &Bytes::new())?;
            let Some(location) = location(&response) else {
                Ask::Refs.check(&response)?;
                self.known().repository = Some(url);
                return Ok(response.into_body());
            };
            url = follow(&url, &location)?;
        }
        Err(HttpError::Redirects(MAX_REDIRECTS))
    }

    /// The answer to one step of the negotiation: at the last one, the pack.
    pub fn pack(&self, body: &Bytes) -> Result<Incoming, HttpError> {
        let url = self.known().repository.clone().ok_or(HttpError::Address)?;
        let response = self.ask(Ask::Pack, &url, body)?;
        Ask::Pack.check(&response)?;
        Ok(response.into_body())
    }

    /// Back to the beginning.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The token is sent only when asked for, since a server may refuse a bad one where it needs none.
    fn ask(&self, ask: Ask, repository: &Url, body: &Bytes) -> Result<Response<Incoming>, HttpError> {
        let url = ask.url(repository);
        let token = self.session.token.as_ref().filter(|token| is_same_server(&token.server, &url));
        let authorized = self.known().authorized;
        let request = |with_token: bool| {
            let mut request = ask.request(&url, body.clone())?;
            if let Some(token) = token.filter(|_| with_token) {
                request.headers_mut().insert(AUTHORIZATION, token.header.clone());
            }
            self.send(request)
        };
        let response = request(authorized)?;
        if response.status() != StatusCode::UNAUTHORIZED || authorized || token.is_none() {
            return Ok(response);
        }
        self.known().authorized = true;
        request(true)
    }

    fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, HttpError> {
        // A tunnel has sent it already; a plain request carries it.
        let proxy = self.session.reach.proxy.intercept(request.uri());
        if request.uri().scheme_str() == Some("http")
            && let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.basic_auth())
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        self.wait(self.client.request(request))?.map_err(HttpError::of_request)
    }

    /// Waits, but neither past the deadline nor for a server that is silent for too long. Silence counts only while
    /// somebody waits: writing a large pack to a slow disk is not the server's fault.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, HttpError> {
        let (deadline, silence) = (self.session.deadline, self.session.reach.silence);
        self.activity.note();
        let runtime = self.runtime.as_ref().ok_or(HttpError::Over)?;
        runtime.block_on(async {
            let mut what = pin!(what);
            loop {
                let now = Instant::now();
                if now >= deadline {
                    return Err(HttpError::Deadline);
                }
                let patience = self.activity.last() + silence;
                if now >= patience {
                    return Err(HttpError::Silent(silence));
                }
                tokio::select! {
                    biased;
                    done = &mut what => return Ok(done),
                    () = tokio::time::sleep_until(deadline.min(patience).into()) => {}
                }
            }
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exchange {
    /// Ends the connections, but does not wait for a look-up of a name that has no deadline of its own.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
