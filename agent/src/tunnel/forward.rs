//! A preview's request: checked against what is declared, then passed on over HTTP/1.1, streamed both ways.
//!
//! The hub already stripped hop-by-hop headers and its own cookie; they are stripped again here, since HTTP/2 knows
//! none and the application's must not reach the hub. Each request has a connection of its own, which ends with it.

use super::{
    DialRefused,
    session::{Session, failure},
    switch,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use lapdev_api::{
    bundle::DialTarget,
    kinds::Port,
    name::Uid,
    wire::{ERROR_HEADER, FORWARD_HEADER},
};
use lapdev_tunnel::{
    body::{Body, BoxError},
    hop,
};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

const RESOLVE_PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Until the application's headers: long polls are legal, a hung application is not for ever.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(300);
/// The application's headers, all together, in bytes.
const MAX_HEADERS: usize = 64 << 10;

/// Passes one request on.
pub(super) async fn answer(session: &Session, request: Request<Incoming>) -> Response<Body> {
    match forward(session, request).await {
        Ok(response) => response,
        Err((status, kind, cause)) => failure(status, kind, &cause),
    }
}

type Failure = (StatusCode, &'static str, String);

async fn forward(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let header = request.headers().get(FORWARD_HEADER).and_then(|value| value.to_str().ok()).and_then(parse);
    let Some((uid, target)) = header else {
        return Err((
            StatusCode::BAD_REQUEST,
            "target",
            format!("{FORWARD_HEADER} is not <uid>/<namespace>/<service>/<port>"),
        ));
    };
    let address = resolve(session, &uid, &target).await?;
    let stream = connect(address).await?;
    let (switch, request) = switch::requested(request);
    let response = send(session, stream, outgoing(request, switch.is_some())?).await?;
    Ok(match switch {
        Some(switch) => switch.join(session, response),
        None => response.map(|body| body.map_err(BoxError::from).boxed_unsync()),
    })
}

fn parse(header: &str) -> Option<(Uid, DialTarget)> {
    let mut parts = header.split('/');
    let uid = parts.next()?.parse().ok()?;
    let namespace = parts.next()?.parse().ok()?;
    let service = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let port = parts.next().filter(|port| !port.is_empty())?;
    let port = port.parse().map_or_else(|_| Port::Name(port.to_owned()), Port::Number);
    parts.next().is_none().then_some((uid, DialTarget { namespace, service, port }))
}

async fn resolve(session: &Session, uid: &Uid, target: &DialTarget) -> Result<SocketAddr, Failure> {
    let asked = session.parts.cluster.resolve(uid, target);
    match tokio::time::timeout(RESOLVE_PATIENCE, asked).await {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(refused @ DialRefused::NotDeclared { .. })) => {
            tracing::warn!(error = %refused, "a request to an undeclared target was refused");
            Err((StatusCode::FORBIDDEN, "undeclared", refused.to_string()))
        }
        Ok(Err(DialRefused::Unavailable(cause))) => Err((StatusCode::SERVICE_UNAVAILABLE, "unavailable", cause)),
        Err(_) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the Service could not be looked up in time".to_owned(),
        )),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let failed = |error| (StatusCode::BAD_GATEWAY, "connect", format!("cannot connect to the Service: {error}"));
    match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
        Ok(stream) => {
            let stream = stream.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            Ok(stream)
        }
        Err(_) => {
            Err((StatusCode::GATEWAY_TIMEOUT, "connect", "the Service did not accept a connection in time".to_owned()))
        }
    }
}

/// The request as HTTP/1.1 wants it: path only, Host as a header, one Cookie line.
fn outgoing(request: Request<Body>, switches: bool) -> Result<Request<Body>, Failure> {
    let illegal = || (StatusCode::BAD_REQUEST, "request", "the request has no legal path or host".to_owned());
    let (mut parts, body) = request.into_parts();
    let host = parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok()).ok_or_else(illegal)?;
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = path.parse::<Uri>().map_err(|_| illegal())?;
    parts.version = http::Version::HTTP_11;
    hop::strip(&mut parts.headers);
    parts.headers.remove(FORWARD_HEADER);
    parts.headers.insert(header::HOST, host);
    join_cookies(&mut parts.headers);
    if switches {
        switch::ask(&mut parts);
    }
    parts.extensions.clear();
    Ok(Request::from_parts(parts, body))
}

/// HTTP/2 may split cookies over several lines, HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

async fn send(session: &Session, stream: TcpStream, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
    let broken = |error: hyper::Error| {
        (StatusCode::BAD_GATEWAY, "application", format!("the application broke the connection: {error}"))
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let ended = session.ended.clone();
    session.tasks.spawn(async move {
        tokio::select! {
            () = ended.cancelled() => {}
            outcome = connection.with_upgrades() => if let Err(error) = outcome {
                tracing::debug!(%error, "a connection to an application ended");
            }
        }
    });
    let answered = tokio::time::timeout(RESPONSE_PATIENCE, sender.send_request(request)).await;
    let late = |_| (StatusCode::GATEWAY_TIMEOUT, "application", "the application did not answer in time".to_owned());
    let mut response = answered.map_err(late)?.map_err(broken)?;
    hop::strip(response.headers_mut());
    response.headers_mut().remove(ERROR_HEADER);
    *response.version_mut() = http::Version::HTTP_2;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_exactly_four_parts() {
        let (uid, target) = parse("aaaaaaaaaaaaaaaa/shop/web/8080").expect("legal");
        assert_eq!(
            (uid.as_str(), target.service.as_str(), target.port),
            ("aaaaaaaaaaaaaaaa", "web", Port::Number(8080))
        );
        assert_eq!(parse("aaaaaaaaaaaaaaaa/shop/web/http").expect("legal").1.port, Port::Name("http".to_owned()));
        for bad in
            ["", "a/b/c/d", "aaaaaaaaaaaaaaaa/shop/web", "aaaaaaaaaaaaaaaa/shop/web/80/x", "aaaaaaaaaaaaaaaa/shop//80"]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
