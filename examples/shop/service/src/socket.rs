//! WebSocket as far as the shop needs it: an upgrade is granted on every path; each text is answered by who this is and
//! what was heard, as gRPC's `Chat` does, and bytes come back as they are.

use crate::{answer::Body, ended};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

/// The answer to a request for a WebSocket, and the connection once that is sent; none if it asks for something else.
pub fn accept(request: &mut Request<Incoming>) -> Option<(Response<Body>, OnUpgrade)> {
    let asks = names(request.headers(), &CONNECTION, "upgrade") && names(request.headers(), &UPGRADE, "websocket");
    let key = request.headers().get(SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()?;
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = [(CONNECTION, "upgrade"), (UPGRADE, "websocket")];
    response.headers_mut().extend(upgrade.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    Some((response, hyper::upgrade::on(request)))
}

/// Whether a list of words has this one, in whatever case.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}

/// Talks until the client closes or breaks off, or this pod ends.
pub async fn talk(upgrade: OnUpgrade, mut ending: watch::Receiver<bool>, answer: impl Fn(&str) -> String) {
    // One that breaks off before it begins is a client that went away.
    let Ok(stream) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
    let mut end = std::pin::pin!(ended(&mut ending));
    loop {
        let heard = tokio::select! {
            heard = socket.next() => heard,
            () = &mut end => {
                // Whoever is gone already need not be told.
                let _ = socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "this pod ends".into() })).await;
                return;
            }
        };
        let said = match heard {
            Some(Ok(Message::Text(text))) => Message::text(answer(&text)),
            Some(Ok(Message::Binary(bytes))) => Message::Binary(bytes),
            // Pings and the client's close are answered below us.
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return,
        };
        if socket.send(said).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_list_is_found_in_any_line_and_case() {
        let lines = ["keep-alive, Upgrade", "other"].map(HeaderValue::from_static);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONNECTION, line);
        }
        assert!(names(&headers, &CONNECTION, "upgrade") && names(&headers, &CONNECTION, "other"));
        assert!(!names(&headers, &CONNECTION, "up") && !names(&headers, &UPGRADE, "websocket"));
    }
}
