//! Who may see a preview: everyone, or who holds its link. The link's token becomes a cookie of that one host, and
//! neither ever reaches the application.

use super::Preview;
use crate::hub::Hub;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use lapdev_api::{
    kinds::Access,
    link::{COOKIE, PARAMETER, verify},
};
use lapdev_tunnel::body::{self, Body};

/// Three months; the environment's end comes first, mostly.
const COOKIE_SECONDS: u32 = 90 * 24 * 3600;

/// What the check said.
pub(super) enum Entry {
    /// Go on.
    Granted,
    /// The link was followed: here is the cookie, and the address without the token.
    Redirect(Response<Body>),
    /// Neither link nor cookie.
    Refused,
}

/// Checks token and cookie, and takes both out of the request.
pub(super) fn check<B>(hub: &Hub, preview: &Preview, request: &mut Request<B>) -> Entry {
    let (record, shown) = preview;
    let (token, target) = take_token(request.uri());
    let cookies = take_cookies(request.headers_mut());
    let valid = |token: &String| verify(&hub.link_secret, &record.identity.uid, &shown.host, token);
    let follows_link = token.as_ref().is_some_and(valid);
    if let Some(target) = target {
        if follows_link && matches!(*request.method(), Method::GET | Method::HEAD) {
            let secure = hub.settings.external_url.scheme() == "https";
            let token = token.expect("a valid one is there");
            return Entry::Redirect(redirect(&target, &token, secure));
        }
        *request.uri_mut() = target;
    }
    if shown.access == Access::Public || follows_link || cookies.iter().any(valid) {
        return Entry::Granted;
    }
    Entry::Refused
}

/// The token in the query, and the address without it; no address when there was none.
fn take_token(uri: &Uri) -> (Option<String>, Option<Uri>) {
    let Some(query) = uri.query() else { return (None, None) };
    let is_token = |pair: &&str| pair.split_once('=').is_some_and(|(name, _)| name == PARAMETER);
    let Some(token) = query.split('&').find(is_token).and_then(|pair| pair.split_once('=')) else {
        return (None, None);
    };
    let rest: Vec<_> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let path = uri.path();
    let target = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    (Some(token.1.to_owned()), Uri::from_parts(parts).ok())
}

/// Every value of our cookie; the other cookies stay. A sibling application may have set one for the whole domain, so
/// all of ours are looked at.
fn take_cookies(headers: &mut HeaderMap) -> Vec<String> {
    let mut ours = Vec::new();
    let mut others = Vec::new();
    for line in headers.get_all(header::COOKIE) {
        // Bytes, not text: an application's cookie may be neither ASCII nor UTF-8, and passes unchanged.
        for cookie in line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            match cookie.strip_prefix(COOKIE.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
                Some(value) => ours.extend(String::from_utf8(value.to_vec())),
                None if cookie.is_empty() => {}
                None => others.push(cookie),
            }
        }
    }
    if ours.is_empty() {
        return ours;
    }
    match HeaderValue::from_bytes(&others.join(&b"; "[..])) {
        Ok(rest) if !rest.is_empty() => headers.insert(header::COOKIE, rest),
        _ => headers.remove(header::COOKIE),
    };
    ours
}

fn redirect(target: &Uri, token: &str, secure: bool) -> Response<Body> {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}");
    // A path that begins with two slashes would be another host's address; browsers read a backslash as one, too.
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let location = format!("/{}", path.trim_start_matches(['/', '\\']));
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    for (name, value) in [(header::LOCATION, location), (header::SET_COOKIE, cookie)] {
        // A verified token is base64url, and a target came in as a legal URI.
        headers.insert(name, HeaderValue::try_from(value).expect("both are legal header values"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(uri: &str) -> (Option<String>, Option<String>) {
        let (token, target) = take_token(&uri.parse().expect("legal"));
        (token, target.map(|t| t.to_string()))
    }

    #[test]
    fn the_token_leaves_the_address_and_nothing_else_does() {
        assert_eq!(taken("/a?x=1"), (None, None));
        assert_eq!(taken("/a?lapdev-token=t"), (Some("t".to_owned()), Some("/a".to_owned())));
        assert_eq!(taken("/a?x=%20&lapdev-token=t&y"), (Some("t".to_owned()), Some("/a?x=%20&y".to_owned())));
        assert_eq!(taken("/a?lapdev-token=t&lapdev-token=u"), (Some("t".to_owned()), Some("/a".to_owned())));
    }

    #[test]
    fn our_cookie_leaves_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; lapdev-preview=x; b=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("lapdev-preview=y; lapdev-previews=z"));
        assert_eq!(take_cookies(&mut headers), ["x", "y"]);
        let left: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(left, ["a=1; b=2; lapdev-previews=z"]);
        headers.insert(header::COOKIE, HeaderValue::from_static("lapdev-preview=x"));
        assert_eq!(take_cookies(&mut headers), ["x"]);
        assert!(!headers.contains_key(header::COOKIE));
    }

    #[test]
    fn a_redirect_stays_on_its_host() {
        let mut response = Response::new(body::empty());
        for target in ["//evil.example/x", "/\\evil.example/x", "/\\/\\evil.example/x", "///evil.example/x"] {
            response = redirect(&target.parse().expect("legal"), "token", true);
            assert_eq!(response.headers()[header::LOCATION], "/evil.example/x", "{target}");
        }
        let cookie = response.headers()[header::SET_COOKIE].to_str().expect("text");
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure") && !cookie.contains("Domain"), "{cookie}");
    }
}
