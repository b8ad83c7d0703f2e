//! Who answers a request: a preview, the tunnel, or the routes of the control plane itself. The host alone says whether
//! it is a preview's, so that an application can never answer for the control plane, nor the other way round.

use crate::{
    gateway::{self, Found},
    hub::Hub,
    tunnel,
};
use http::{Request, Response, StatusCode, header, uri::Authority};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lapdev_api::{wire::TUNNEL_PATH, words::error_chain};
use lapdev_tunnel::body::{self, Body, BoxError};
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc};
use tower_service::Service;
use tracing::Instrument;

/// The control plane's own routes.
pub(crate) trait Routes:
    Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible, Future: Future + Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Routes for S where
    S: Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible, Future: Future + Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Hands requests on.
#[derive(Clone)]
pub(crate) struct Dispatch<S> {
    hub: Arc<Hub>,
    routes: S,
}

impl<S: Routes> Dispatch<S> {
    pub(crate) fn new(hub: Arc<Hub>, routes: S) -> Self {
        Self { hub, routes }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let Some(authority) = authority(&request) else {
            return plain(StatusCode::BAD_REQUEST, "the request does not name exactly one host\n");
        };
        // Without the query: a link's token is in it.
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let span = tracing::debug_span!("request", %peer, %method, %authority, path);
        let response = self.answer_at(&authority, peer, request).instrument(span.clone()).await;
        tracing::debug!(parent: &span, status = response.status().as_u16(), "answered");
        response
    }

    async fn answer_at(&self, authority: &Authority, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let found = match self.hub.hosts.find(authority.host()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(error = error_chain(&error), "a host could not be looked up");
                return plain(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer; try again\n");
            }
        };
        match found {
            Found::Preview(preview) => gateway::answer(&self.hub, &preview, authority, peer, request).await,
            Found::Unknown => gateway::unknown(&self.hub, authority, &request),
            Found::Ours if request.uri().path() == TUNNEL_PATH => tunnel::answer(&self.hub, request).await,
            Found::Ours => self.own(request).await,
        }
    }

    async fn own(&self, request: Request<Incoming>) -> Response<Body> {
        let response = self.routes.clone().call(request).await.unwrap_or_else(|never| match never {});
        response.map(|body| body.map_err(BoxError::from).boxed_unsync())
    }
}

/// The one host that a request is for. HTTP/2 and absolute targets name it in the URI, HTTP/1.1 in `Host`; where both
/// do, they must agree, or two servers in a row would see two hosts.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let in_header = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(Authority::try_from(host.as_bytes()).ok()?),
        (Some(_), Some(_)) => return None,
    };
    let authority = match (request.uri().authority().cloned(), in_header) {
        (Some(uri), Some(header)) if uri != header => return None,
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return None,
    };
    (!authority.as_str().contains('@') && !authority.host().is_empty()).then_some(authority)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        authority(&request.body(()).expect("legal")).map(|a| a.to_string())
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        assert_eq!(of("/", &["a.example:8443"]).as_deref(), Some("a.example:8443"));
        assert_eq!(of("https://a.example/", &["A.example"]).as_deref(), Some("a.example"));
        assert_eq!(of("https://a.example/", &[]).as_deref(), Some("a.example"));
        for (uri, hosts) in [
            ("/", &[][..]),
            ("/", &["a.example", "b.example"][..]),
            ("/", &["a.example", "a.example"][..]),
            ("https://a.example/", &["b.example"][..]),
            ("/", &["a.example@b.example"][..]),
            ("/", &["a.example/b"][..]),
            ("/", &[""][..]),
        ] {
            assert_eq!(of(uri, hosts), None, "{uri} {hosts:?}");
        }
    }
}
