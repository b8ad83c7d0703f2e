//! The form of GitHub's answers: errors, pages with `Link`, `ETag` and 304, rate limit headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: Box<HeaderMap>,
    pub body: Bytes,
}

impl Reply {
    pub fn json(status: StatusCode, body: &Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        Self { status, headers: Box::new(headers), body: body.to_string().into() }
    }

    pub fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Box::default(), body: Bytes::new() }
    }

    /// GitHub's error body.
    pub fn error(status: StatusCode, message: &str) -> Self {
        let status_text = status.as_u16().to_string();
        let body = json!({"message": message, "documentation_url": DOCUMENTATION, "status": status_text});
        Self::json(status, &body)
    }

    pub fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 422, naming the field that was not accepted.
    pub fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Self {
        let error = json!({"resource": resource, "field": field, "code": code, "message": message});
        let body = json!({
            "message": "Validation Failed", "documentation_url": DOCUMENTATION, "status": "422", "errors": [error],
        });
        Self::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
    }

    /// A repository that has moved: its id's address, by a redirect that keeps the method of a write.
    pub fn moved(method: &Method, place: &str) -> Self {
        let status = if method == Method::GET { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
        let body = json!({"message": "Moved Permanently", "url": place, "documentation_url": DOCUMENTATION});
        Self::json(status, &body).with(header::LOCATION, place)
    }

    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds the `ETag`, and makes it 304 where the client has the same already.
    pub fn conditional(mut self, request: &HeaderMap) -> Self {
        if self.status != StatusCode::OK {
            return self;
        }
        let link = self.headers.get(header::LINK).map(|link| link.as_bytes().to_vec()).unwrap_or_default();
        let hash = Sha256::new().chain_update(&self.body).chain_update(link).finalize();
        let etag = format!("W/\"{}\"", data_encoding::HEXLOWER.encode(&hash));
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .any(|value| value.to_str().is_ok_and(|list| list.split(',').any(|one| weak(one) == weak(&etag))));
        if known {
            self = Self::empty(StatusCode::NOT_MODIFIED);
        }
        self.with(header::ETAG, &etag).with(header::CACHE_CONTROL, "private, max-age=60, s-maxage=60")
    }
}

fn weak(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/")
}

/// One page of a listing at `url`, which has GitHub's habit of naming repositories by their ids.
pub(super) fn page(items: &[Value], query: &Query, url: &str) -> Reply {
    let size = query.number("per_page").unwrap_or(30).clamp(1, 100);
    let page = query.number("page").unwrap_or(1).max(1);
    let last = items.len().div_ceil(size).max(1);
    let shown: Vec<_> = items.iter().skip((page - 1).saturating_mul(size)).take(size).cloned().collect();
    let link = |page: usize, rel: &str| format!("<{url}?{}>; rel=\"{rel}\"", query.at_page(page));
    let mut links = Vec::new();
    if page > 1 {
        links.push(link((page - 1).min(last), "prev"));
    }
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    let reply = Reply::ok(&Value::Array(shown));
    if links.is_empty() { reply } else { reply.with(header::LINK, &links.join(", ")) }
}

/// The query of a request. No name or value that we know of needs more decoding than this.
#[derive(Debug, Default, Clone)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let decode = |text: &str| text.replace("%3A", ":").replace("%2F", "/").replace('+', " ");
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }

    fn at_page(&self, page: usize) -> String {
        let others = self.0.iter().filter(|(name, _)| name != "page").map(|(name, value)| format!("{name}={value}"));
        others.chain([format!("page={page}")]).collect::<Vec<_>>().join("&")
    }
}
