//! What is asked of a git server, and which answer is git's: addresses, headers, redirects. Without I/O.

use super::HttpError;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, PRAGMA, USER_AGENT},
};
use url::Url;

/// Forges tell git from a browser by its beginning.
const AGENT: &str = concat!("git/2.0 (lapdev ", env!("CARGO_PKG_VERSION"), ")");
const REFS: &str = "/info/refs";

/// The two requests of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Refs,
    Pack,
}

impl Ask {
    fn method(self) -> Method {
        match self {
            Self::Refs => Method::GET,
            Self::Pack => Method::POST,
        }
    }

    fn answer_type(self) -> &'static str {
        match self {
            Self::Refs => "application/x-git-upload-pack-advertisement",
            Self::Pack => "application/x-git-upload-pack-result",
        }
    }

    /// Its address, below that of the repository.
    pub fn url(self, repository: &Url) -> Url {
        let mut url = repository.clone();
        let path = repository.path().trim_end_matches('/');
        match self {
            Self::Refs => {
                url.set_path(&format!("{path}{REFS}"));
                url.set_query(Some("service=git-upload-pack"));
            }
            Self::Pack => {
                url.set_path(&format!("{path}/git-upload-pack"));
                url.set_query(None);
            }
        }
        url
    }

    pub fn request(self, url: &Url, body: Bytes) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut request = Request::builder().method(self.method()).uri(url.as_str()).header(USER_AGENT, AGENT);
        request = match self {
            // A cache between us would show branches as they were.
            Self::Refs => request.header(ACCEPT, "*/*").header(PRAGMA, "no-cache"),
            Self::Pack => {
                request.header(ACCEPT, self.answer_type()).header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            }
        };
        request.body(Full::new(body)).map_err(|_| HttpError::Address)
    }

    /// Whether an answer is what git would say.
    pub fn check<B>(self, response: &Response<B>) -> Result<(), HttpError> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(HttpError::Unauthorized),
            status => return Err(HttpError::Status(status)),
        }
        let wanted = self.answer_type();
        let found = text(response.headers().get(CONTENT_TYPE));
        let kind = found.split(';').next().unwrap_or_default().trim();
        match kind.eq_ignore_ascii_case(wanted) {
            true => Ok(()),
            false => Err(HttpError::not_git(&found, wanted)),
        }
    }
}

/// An address that can be asked. A user name and password in it are dropped: credentials come from the settings.
pub(super) fn repository(text: &str) -> Result<Url, HttpError> {
    let url = Url::parse(text).map_err(|_| HttpError::Address)?;
    match matches!(url.scheme(), "http" | "https") && url.has_host() {
        true => Ok(bare(url)),
        false => Err(HttpError::Address),
    }
}

fn bare(mut url: Url) -> Url {
    // These fail for addresses without a host only.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

/// Where an answer leads on to, if it does.
pub(super) fn location<B>(response: &Response<B>) -> Option<String> {
    let status = response.status();
    let leads_on = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    leads_on.then(|| location_of(response.headers())).flatten()
}

fn location_of(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION).map(|value| text(Some(value)))
}

/// The repository that a redirect of the first request leads to.
///
/// Never another server's: its listing would be taken for what is known of this one's branches.
pub(super) fn follow(from: &Url, location: &str) -> Result<Url, HttpError> {
    let asked = Ask::Refs.url(from);
    let to = bare(asked.join(location).map_err(|_| HttpError::Address)?);
    let refuse = |why| Err(HttpError::redirect(&to, why));
    match (from.scheme(), to.scheme()) {
        ("http" | "https", "https") | ("http", "http") => {}
        _ => return refuse("which TLS does not protect as it does this server"),
    }
    if !is_same_server(from, &to) {
        return refuse("another server, which is not followed; use its own address");
    }
    match to.path().strip_suffix(REFS).map(str::to_owned) {
        Some(path) => {
            let mut repository = to;
            repository.set_path(&path);
            repository.set_query(None);
            Ok(repository)
        }
        None => refuse("which is no repository; does it want you to sign in?"),
    }
}

/// Whether both addresses are the same server's. A host that leads from plain text on to TLS is one.
pub(super) fn is_same_server(one: &Url, other: &Url) -> bool {
    let schemes = (one.scheme(), other.scheme());
    let is_upgrade = schemes == ("http", "https") && one.host() == other.host();
    one.origin() == other.origin() || (is_upgrade && one.port().is_none() && other.port().is_none())
}

fn text(value: Option<&HeaderValue>) -> String {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}
