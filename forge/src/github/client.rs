//! One request to GitHub and what came of it: with the right session, within its time, redirects followed on the same
//! host only, refusals sorted. Nothing is sent twice, except after a 401 when the credentials changed meanwhile (a
//! 401 means that nothing was done).

use super::{
    answer::refusal,
    link,
    session::{Session, Sessions},
    settings::{GitHubSettings, SetupError},
    wire,
};
use crate::ForgeError;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use lapdev_api::name::RepositoryName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use url::Url;

const MOST_REDIRECTS: usize = 3;
/// A page of 100 pull requests whose descriptions are as long as GitHub permits.
const LARGEST_ANSWER: usize = 64 << 20;

/// What to ask.
pub(super) struct Ask<'a> {
    /// What is attempted and on what, for errors.
    pub(super) what: &'a str,
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// Ask for it only if it is no longer this.
    pub(super) unless: Option<&'a HeaderValue>,
    pub(super) body: Option<Value>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(what: &'a str, path: String) -> Self {
        Self { what, method: Method::GET, path, unless: None, body: None }
    }

    pub(super) fn send(what: &'a str, method: Method, path: String, body: Value) -> Self {
        Self { what, method, path, unless: None, body: Some(body) }
    }
}

/// What GitHub answered: a success, or 304 if the ask had `unless`.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, ForgeError> {
        wire::parse(&self.body).map_err(|message| ForgeError::Unexpected { what: what.to_owned(), message })
    }
}

/// Asks GitHub.
pub(super) struct Client {
    pub(super) base: Url,
    sessions: Sessions,
    request_timeout: Duration,
    pub(super) remember: Duration,
}

impl Client {
    pub(super) fn new(settings: &GitHubSettings) -> Result<Self, SetupError> {
        let sessions = Sessions::open(settings)?;
        let (request_timeout, remember) = (settings.request_timeout, settings.remember);
        Ok(Self { base: settings.api_url.clone(), sessions, request_timeout, remember })
    }

    /// The path of what is at `tail` below the base address.
    pub(super) fn path(&self, tail: &str) -> String {
        format!("{}{tail}", self.base.path().trim_end_matches('/'))
    }

    /// Asks with the credentials that are meant for this repository.
    pub(super) async fn ask(&self, repository: &RepositoryName, ask: &Ask<'_>) -> Result<Answer, ForgeError> {
        let session = self.session(repository).await?;
        let answer = self.follow(&session, ask).await;
        if is_refused(&answer)
            && let Some(other) = self.another(&session, repository).await?
        {
            let answer = self.follow(&other, ask).await?;
            return judge(&other, ask, answer);
        }
        judge(&session, ask, answer?)
    }

    /// What to try when GitHub refused the credentials: a token that was replaced, an App that was installed anew.
    async fn another(
        &self,
        refused: &Arc<Session>,
        repository: &RepositoryName,
    ) -> Result<Option<Arc<Session>>, ForgeError> {
        if let Some(fresh) = self.sessions.renewed(refused).await {
            return Ok(Some(fresh));
        }
        self.sessions.forget(repository);
        let found = self.session(repository).await?;
        Ok(Some(found).filter(|found| !Arc::ptr_eq(found, refused)))
    }

    /// Our own login, as it stands at comments.
    pub(super) async fn login(&self, repository: &RepositoryName) -> Result<String, ForgeError> {
        let what = "asking GitHub who we are";
        if let Some(app) = self.sessions.of_app() {
            let find = async || {
                let ask = Ask::get(what, self.path("/app"));
                let found: wire::App = judge(&app, &ask, self.follow(&app, &ask).await?)?.read(what)?;
                Ok(format!("{}[bot]", found.slug))
            };
            return app.login.get_or_try_init(find).await.cloned();
        }
        let session = self.session(repository).await?;
        let find = async || {
            let found: wire::Account = self.ask(repository, &Ask::get(what, self.path("/user"))).await?.read(what)?;
            Ok(found.login)
        };
        session.login.get_or_try_init(find).await.cloned()
    }

    async fn session(&self, repository: &RepositoryName) -> Result<Arc<Session>, ForgeError> {
        if let Some(session) = self.sessions.known(repository) {
            return Ok(session);
        }
        let what = format!("finding the App's installation for {repository}");
        let none = || ForgeError::NotFound { what: what.clone() };
        let app = self.sessions.of_app().ok_or_else(none)?;
        let ask = Ask::get(&what, self.path(&format!("/repos/{repository}/installation")));
        let found: wire::Installation = judge(&app, &ask, self.follow(&app, &ask).await?)?.read(&what)?;
        self.sessions.installed(repository, found.id).ok_or_else(none)
    }

    async fn follow(&self, session: &Session, ask: &Ask<'_>) -> Result<Answer, ForgeError> {
        session.admit(ask.what, Timestamp::now())?;
        let mut path = ask.path.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.timed(session, ask, &path).await?;
            match redirect(&answer, &ask.method, &self.base) {
                Ok(None) => return Ok(answer),
                Ok(Some(next)) => path = next,
                Err(message) => return Err(ForgeError::Unexpected { what: ask.what.to_owned(), message }),
            }
        }
        let message = format!("more than {MOST_REDIRECTS} redirects");
        Err(ForgeError::Unexpected { what: ask.what.to_owned(), message })
    }

    async fn timed(&self, session: &Session, ask: &Ask<'_>, path: &str) -> Result<Answer, ForgeError> {
        let began = Instant::now();
        let exchange = exchange(session, ask, path);
        let answer = tokio::time::timeout(self.request_timeout, exchange).await.unwrap_or_else(|_| {
            let message = format!("no answer within {:?}", self.request_timeout);
            Err(ForgeError::Unavailable { what: ask.what.to_owned(), message, source: None })
        });
        let status = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        tracing::debug!(method = %ask.method, path, status, took = ?began.elapsed(), "GitHub");
        if let Err(ForgeError::RateLimited { until, .. }) = &answer {
            session.close_until(*until);
        }
        answer
    }
}

fn is_refused(answer: &Result<Answer, ForgeError>) -> bool {
    match answer {
        Ok(answer) => answer.status == StatusCode::UNAUTHORIZED,
        Err(error) => matches!(error, ForgeError::Unauthorized { .. }),
    }
}

async fn exchange(session: &Session, ask: &Ask<'_>, path: &str) -> Result<Answer, ForgeError> {
    let failed = |error| failure(ask.what, error);
    let mut request = Request::builder().method(&ask.method).uri(path);
    if let Some(etag) = ask.unless {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let request = session.octocrab.build_request(request, ask.body.as_ref()).map_err(failed)?;
    let response = session.octocrab.execute(request).await.map_err(failed)?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|source| ForgeError::Unavailable {
        what: ask.what.to_owned(),
        message: "its answer broke off".to_owned(),
        source: Some(source),
    })?;
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().into() })
}

/// Where an answer sends us, if it does. A write follows only redirects that say that it was not done yet.
fn redirect(answer: &Answer, method: &Method, base: &Url) -> Result<Option<String>, String> {
    let follow = match answer.status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::GET,
        _ => false,
    };
    if !follow {
        return Ok(None);
    }
    let place = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    link::local(place.ok_or("a redirect to nowhere")?, base).map(Some)
}

/// Lets a success pass, and 304 if it was asked for.
fn judge(session: &Session, ask: &Ask<'_>, answer: Answer) -> Result<Answer, ForgeError> {
    let unmodified = answer.status == StatusCode::NOT_MODIFIED && ask.unless.is_some();
    if answer.status.is_success() || unmodified {
        return Ok(answer);
    }
    let error = refusal(ask.what, answer.status, &answer.headers, &answer.body, Timestamp::now());
    if let ForgeError::RateLimited { until, .. } = &error {
        session.close_until(*until);
    }
    Err(error)
}

/// What octocrab's error means. It speaks of GitHub's answer itself only when it asked for an installation's token.
fn failure(what: &str, error: octocrab::Error) -> ForgeError {
    let what = what.to_owned();
    match error {
        octocrab::Error::GitHub { source, .. } => {
            let body = serde_json::json!({"message": format!("asking for a token: {}", source.message)}).to_string();
            let headers = source.headers.clone().unwrap_or_default();
            match refusal(&what, source.status_code, &headers, body.as_bytes(), Timestamp::now()) {
                // The installation is gone or suspended: that is about us, not about what was asked for.
                ForgeError::NotFound { what } => {
                    let message = "the App's installation is gone".to_owned();
                    ForgeError::Unauthorized { what, message }
                }
                other => other,
            }
        }
        octocrab::Error::JWT { source, .. } => {
            ForgeError::Unauthorized { what, message: format!("the App's key does not sign: {source}") }
        }
        octocrab::Error::Service { source, .. } => {
            ForgeError::Unavailable { what, message: "no answer".to_owned(), source: Some(source) }
        }
        other => ForgeError::Unexpected { what, message: other.to_string() },
    }
}
