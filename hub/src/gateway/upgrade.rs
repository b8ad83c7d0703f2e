//! WebSockets to an application: the browser's upgrade becomes an extended CONNECT in the tunnel (RFC 8441), and the
//! agent makes an upgrade of it again.

use crate::hub::Hub;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, ext::Protocol, upgrade::OnUpgrade};
use lapdev_tunnel::{
    body::{self, Body},
    relay,
};
use tokio::sync::OwnedSemaphorePermit;

/// A browser's wish to speak WebSocket.
pub(super) struct Switch {
    browser: OnUpgrade,
    /// HTTP/1.1 answers 101 and this; HTTP/2 answers 200.
    accept: Option<HeaderValue>,
}

/// The wish, if the request has one; the request is one to forward afterwards.
pub(super) fn requested(request: &mut Request<Incoming>) -> Option<Switch> {
    let by_h1 = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && is(request.headers(), header::UPGRADE.as_str(), "websocket")
        && is(request.headers(), header::CONNECTION.as_str(), "upgrade");
    let by_h2 = request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if !by_h1 && !by_h2 {
        return None;
    }
    let key = request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
    let accept = key.map(|key| tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes()));
    let accept = if by_h1 { HeaderValue::try_from(accept?).ok() } else { None };
    Some(Switch { browser: hyper::upgrade::on(request), accept })
}

fn is(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

impl Switch {
    /// Makes the forwarded request an extended CONNECT.
    pub(super) fn ask(&self, request: &mut Request<Body>) {
        *request.method_mut() = Method::CONNECT;
        *request.body_mut() = body::empty();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
    }

    /// Joins the browser's connection with the application's, and answers the browser.
    pub(super) fn join(
        self,
        hub: &Hub,
        mut response: Response<Incoming>,
        place: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let application = hyper::upgrade::on(&mut response);
        let (ending, browser) = (hub.ending.clone(), self.browser);
        hub.sessions.spawn(async move {
            let _place = place;
            tokio::select! { () = ending.cancelled() => {}, () = relay::join(browser, application) => {} }
        });
        let mut answer = Response::new(body::empty());
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        if let Some(accept) = self.accept {
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = answer.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        answer
    }
}
