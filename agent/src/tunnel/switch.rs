//! WebSockets to an application: the hub's extended CONNECT (RFC 8441) becomes an HTTP/1.1 upgrade again.

use super::session::{Session, failure};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use hyper::{body::Incoming, ext::Protocol, upgrade::OnUpgrade};
use lapdev_tunnel::{
    body::{self, Body, BoxError},
    relay,
};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

/// A stream of the tunnel's that wants to become a WebSocket.
pub(super) struct Switch {
    tunnel: OnUpgrade,
}

/// The wish, if the request has one, and the request as one to forward.
pub(super) fn requested(mut request: Request<Incoming>) -> (Option<Switch>, Request<Body>) {
    let wanted = request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if !wanted {
        return (None, request.map(|body| body.map_err(BoxError::from).boxed_unsync()));
    }
    let tunnel = hyper::upgrade::on(&mut request);
    // What comes is the WebSocket's own bytes; the upgrade itself has no body.
    (Some(Switch { tunnel }), request.map(|_| body::empty()))
}

/// Makes the forwarded request an upgrade.
pub(super) fn ask(parts: &mut Parts) {
    parts.method = Method::GET;
    let headers = &mut parts.headers;
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::try_from(generate_key()).expect("base64 is legal");
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
}

impl Switch {
    /// Joins both ends when the application agrees; its refusal passes as it is.
    pub(super) fn join(self, session: &Session, mut response: Response<Incoming>) -> Response<Body> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            if response.status().is_success() {
                return failure(
                    StatusCode::BAD_GATEWAY,
                    "application",
                    "the application does not speak WebSocket here",
                );
            }
            return response.map(|body| body.map_err(BoxError::from).boxed_unsync());
        }
        let application = hyper::upgrade::on(&mut response);
        let (ended, tunnel) = (session.ended.clone(), self.tunnel);
        session.tasks.spawn(async move {
            tokio::select! { () = ended.cancelled() => {}, () = relay::join(tunnel, application) => {} }
        });
        let mut answer = Response::new(body::empty());
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        // About the application's handshake; the browser's has a key of its own.
        answer.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
        answer
    }
}
