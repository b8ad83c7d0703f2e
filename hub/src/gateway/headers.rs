//! Which headers pass between browser and application, and which are ours.

use http::{HeaderMap, HeaderValue, header, uri::Authority};
use lapdev_api::wire::{ERROR_HEADER, FORWARD_HEADER};
use lapdev_tunnel::hop;
use std::net::SocketAddr;

/// The one who asks, as the application may know it.
pub(super) struct Client<'a> {
    pub(super) authority: &'a Authority,
    pub(super) peer: SocketAddr,
    pub(super) scheme: &'a str,
}

/// Cleans a request's headers and says who asks. The target's header is set last, so that no client can set it.
pub(super) fn outgoing(headers: &mut HeaderMap, client: &Client<'_>, target: HeaderValue) {
    hop::strip(headers);
    headers.remove(header::HOST);
    // Half of the proxies write the one, half the other; of the standard's one we say nothing, so nobody else may.
    headers.remove(header::FORWARDED);
    let address = client.peer.ip().to_canonical().to_string();
    let before = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain = before.map(str::to_owned).chain([address]).collect::<Vec<_>>().join(", ");
    for (name, value) in [
        ("x-forwarded-for", chain.as_str()),
        ("x-forwarded-host", client.authority.as_str()),
        ("x-forwarded-proto", client.scheme),
    ] {
        match HeaderValue::from_str(value) {
            Ok(value) => headers.insert(name, value),
            Err(_) => headers.remove(name),
        };
    }
    headers.insert(FORWARD_HEADER, target);
}

/// Cleans an answer's headers.
pub(super) fn incoming(headers: &mut HeaderMap) {
    hop::strip(headers);
    headers.remove(ERROR_HEADER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_speak_for_the_gateway() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "web--x.preview.example"),
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            (FORWARD_HEADER, "another/target"),
            ("accept", "*/*"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let authority = Authority::from_static("web--x.preview.example:8443");
        let peer = "[::ffff:10.0.0.9]:5".parse().expect("an address");
        let client = Client { authority: &authority, peer, scheme: "https" };
        outgoing(&mut headers, &client, HeaderValue::from_static("ours"));
        let mut left: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().expect("text"))).collect();
        left.sort_unstable();
        let expected = [
            ("accept", "*/*"),
            (FORWARD_HEADER, "ours"),
            ("x-forwarded-for", "1.2.3.4, 10.0.0.9"),
            ("x-forwarded-host", "web--x.preview.example:8443"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(left, expected);
    }
}
