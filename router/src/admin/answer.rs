//! What the admin server answers to each request.

use super::{COUNTERS_FRESH, Shared, State};
use crate::count::counters;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use lapdev_api::{
    digest::Digest,
    route::{Probe, TableInForce, admin},
};
use std::{convert::Infallible, sync::PoisonError, time::Instant};

/// A `PUT /probe` is smaller.
const MOST_BODY: usize = 1024;

type Answer = Response<Full<Bytes>>;

pub(super) async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Answer, Infallible> {
    let state = &shared.state;
    let path = request.uri().path().to_owned();
    if matches!(path.as_str(), admin::TABLE | admin::COUNTERS | admin::PROBE)
        && let Some(refused) = refused(request.headers(), state)
    {
        return Ok(refused);
    }
    Ok(match (request.method(), path.as_str()) {
        (&Method::PUT, admin::PROBE) => arm(request.into_body(), state).await,
        (&Method::GET, admin::ALIVE) => text(StatusCode::OK, "alive\n"),
        (&Method::GET, admin::READY) => ready(state),
        (&Method::GET, admin::TABLE) => json(serde_json::to_vec(&table(state)).map(Bytes::from)),
        (&Method::GET, admin::COUNTERS) => json(recent_counters(shared, Instant::now())),
        (&Method::GET, admin::PROBE) => json(serde_json::to_vec(&state.probes.hops()).map(Bytes::from)),
        (&Method::GET, admin::METRICS) => metrics(state),
        (_, admin::ALIVE | admin::READY | admin::TABLE | admin::COUNTERS | admin::PROBE | admin::METRICS) => {
            text(StatusCode::METHOD_NOT_ALLOWED, "this path is for GET (and /probe for PUT)\n")
        }
        _ => text(StatusCode::NOT_FOUND, "lapdev-router has no such path\n"),
    })
}

/// What whoever has not the agent's token is told. An agent that made none known may ask without; whether it did, the
/// routing table says.
fn refused(headers: &HeaderMap, state: &State) -> Option<Answer> {
    let snapshot = state.snapshots.borrow();
    let Some(known) = &snapshot.token else {
        let is_unread = snapshot.resource_version.is_none();
        return is_unread.then(|| text(StatusCode::SERVICE_UNAVAILABLE, "the routing table was not read yet\n"));
    };
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Digests are compared, so how long that takes tells nothing of the token.
    let is_agent = said.is_some_and(|token| Digest::of(token.as_bytes()).to_string() == **known);
    let why = "only this cluster's agent may ask that: /metrics is for everybody\n";
    (!is_agent).then(|| text(StatusCode::UNAUTHORIZED, why))
}

fn ready(state: &State) -> Answer {
    let reason = why_not_ready(state);
    reason.map_or_else(|| text(StatusCode::OK, "ready\n"), |reason| text(StatusCode::SERVICE_UNAVAILABLE, reason))
}

fn why_not_ready(state: &State) -> Option<&'static str> {
    let snapshot = state.snapshots.borrow();
    if *state.draining.borrow() {
        return Some("draining\n");
    }
    if !snapshot.complete {
        return Some("the routing table or the endpoints were not read yet\n");
    }
    let listening = state.listening.borrow();
    let all = snapshot.listens().all(|port| listening.contains(&port));
    (!all).then_some("not every port of the routing table listens yet\n")
}

fn table(state: &State) -> TableInForce {
    let resource_version = state.snapshots.borrow().resource_version.as_deref().map(str::to_owned);
    TableInForce { resource_version, listening: state.listening.borrow().clone() }
}

async fn arm(body: Incoming, state: &State) -> Answer {
    let Ok(body) = Limited::new(body, MOST_BODY).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "a probe has at most 1024 bytes\n");
    };
    let probe: Probe = match serde_json::from_slice(&body.to_bytes()) {
        Ok(probe) => probe,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("this is no probe: {error}\n")),
    };
    match state.probes.arm(probe, Instant::now()) {
        Ok(()) => status(StatusCode::NO_CONTENT),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn metrics(state: &State) -> Answer {
    let mut answer = text(StatusCode::OK, state.metrics.text());
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(openmetrics));
    answer
}

fn recent_counters(shared: &Shared, now: Instant) -> serde_json::Result<Bytes> {
    let mut recent = shared.counters.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, body)) = recent.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < COUNTERS_FRESH) {
        return Ok(body.clone());
    }
    let snapshot = shared.state.snapshots.borrow().clone();
    let body = Bytes::from(serde_json::to_vec(&counters(&snapshot, &shared.state.process))?);
    *recent = Some((now, body.clone()));
    Ok(body)
}

fn json(body: serde_json::Result<Bytes>) -> Answer {
    match body {
        Ok(body) => {
            let mut answer = text(StatusCode::OK, body);
            let json = header::HeaderValue::from_static("application/json");
            answer.headers_mut().insert(header::CONTENT_TYPE, json);
            answer
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(code: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = status(code);
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    *answer.body_mut() = Full::new(body.into());
    answer
}

fn status(code: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = code;
    answer
}
