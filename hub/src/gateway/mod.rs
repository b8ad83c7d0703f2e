//! The preview gateway: a browser's request to an environment's service, through the tunnel of its cluster.
//!
//! A request passes these phases, each of which may end it: may this client see it, does the environment live, is its
//! agent connected, is there room; then it is forwarded, streamed both ways, and the answer comes back cleaned.

mod access;
mod body;
mod forward;
mod headers;
mod hosts;
mod pages;
mod trace;
mod upgrade;

pub(crate) use hosts::{Found, Hosts};

use crate::hub::Hub;
use access::Entry;
use headers::Client;
use http::{Request, Response, StatusCode, uri::Authority};
use hyper::body::Incoming;
use lapdev_api::{
    bundle::DialTarget,
    record::{EnvironmentRecord, Life, PreviewRecord},
};
use lapdev_tunnel::body::Body;
use pages::Page;
use std::net::SocketAddr;

/// A preview's host: the environment that it belongs to, and the preview itself.
pub(crate) type Preview = (EnvironmentRecord, PreviewRecord);

/// Answers a request to a preview's host.
pub(crate) async fn answer(
    hub: &Hub,
    preview: &Preview,
    authority: &Authority,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let (record, shown) = preview;
    let html = pages::wants_html(request.headers());
    match access::check(hub, preview, &mut request) {
        Entry::Granted => {}
        Entry::Redirect(response) => return counted(hub, response),
        // That it ended is no secret; who asks for a closed one's address should learn how to get it back.
        Entry::Refused if ended(record) => {}
        Entry::Refused => return page(hub, &pages::refused(), html),
    }
    if let Some(ending) = not_living(record) {
        return page(hub, &ending, html);
    }
    let Some(target) = route(shown, request.uri().path()) else {
        return page(hub, &pages::no_route(record), html);
    };
    let Some(session) = hub.agents.of(&record.cluster) else {
        return page(hub, &pages::not_connected(record), html);
    };
    let client = Client { authority, peer, scheme: hub.settings.external_url.scheme() };
    match forward::forward(hub, &session, record, target, &client, request).await {
        Ok(response) if html && pages::waits(response.headers()) => {
            let status = hub.store.status(&record.identity.uid).await.ok().flatten();
            page(hub, &pages::held(record, status.as_ref()), html)
        }
        Ok(response) => {
            hub.metrics.preview_answered("app", response.status().as_u16());
            response
        }
        Err(failure) => {
            let status = hub.store.status(&record.identity.uid).await.ok().flatten();
            page(hub, &pages::failed(record, status.as_ref(), &failure), html)
        }
    }
}

/// Answers a request to a host below a preview domain that no environment has.
pub(crate) fn unknown<B>(hub: &Hub, authority: &Authority, request: &Request<B>) -> Response<Body> {
    page(hub, &pages::unknown(authority.host()), pages::wants_html(request.headers()))
}

fn page(hub: &Hub, page: &Page, html: bool) -> Response<Body> {
    counted(hub, page.response(html))
}

fn counted(hub: &Hub, response: Response<Body>) -> Response<Body> {
    hub.metrics.preview_answered("gateway", response.status().as_u16());
    response
}

fn ended(record: &EnvironmentRecord) -> bool {
    matches!(record.life, Life::Closing { .. } | Life::Closed { .. })
}

fn not_living(record: &EnvironmentRecord) -> Option<Page> {
    match &record.life {
        Life::Live => None,
        Life::Queued { reason } => Some(pages::queued(record, reason)),
        Life::Closing { .. } | Life::Closed { .. } => Some(pages::closed(record)),
    }
}

/// The service that answers below the longest prefix of the path. `/api` covers `/api` and `/api/x`, not `/apix`.
fn route<'a>(preview: &'a PreviewRecord, path: &str) -> Option<&'a DialTarget> {
    let covers = |prefix: &str| {
        let prefix = prefix.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let matching = preview.routes.iter().filter(|(prefix, _)| covers(prefix));
    matching.max_by_key(|(prefix, _)| prefix.trim_end_matches('/').len()).map(|(_, target)| target)
}

/// Why a request did not come through to the application.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("too many requests to this cluster are under way")]
    Busy,
    #[error("the tunnel to the cluster broke")]
    Broken(#[source] hyper::Error),
    #[error("the application did not answer in time")]
    Late,
    /// The agent's own answer, not the application's.
    #[error("{cause}")]
    Agent { status: StatusCode, cause: String },
    #[error("the request cannot be passed on")]
    Illegal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::kinds::{Access, Port};

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_slash() {
        let target = |service: &str| DialTarget {
            namespace: "n".parse().expect("legal"),
            service: service.to_owned(),
            port: Port::Number(80),
        };
        let routes = ["/", "/api", "/api/v2/"].map(|p| (p.to_owned(), target(p))).to_vec();
        let preview = PreviewRecord {
            service: "web".to_owned(),
            host: "h".to_owned(),
            access: Access::Public,
            routes,
            branch: true,
        };
        for (path, service) in [
            ("/", "/"),
            ("/apix", "/"),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/api/v1", "/api"),
            ("/api/v2", "/api/v2/"),
            ("/api/v2/x", "/api/v2/"),
            ("/x/api", "/"),
        ] {
            assert_eq!(route(&preview, path).expect("`/` is there").service, service, "{path}");
        }
    }
}
