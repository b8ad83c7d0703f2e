//! The control plane's own HTTP routes: health, metrics, and `/api/v1` as [`lapdev_api::view`] describes it.
//!
//! Everything but health wants the admin token. An answer is a view of the store, or what an agent says when it is asked;
//! only tokens are written.

mod admin;
mod answers;
mod audit;
mod tokens;
mod trace;
mod view;

pub use admin::AdminTokenError;
pub(crate) use admin::admin_token;
pub(crate) use answers::recover;

use crate::hub::Hub;
use answers::{Failure, json, no_content, text, with};
use bytes::Buf;
use futures_util::{Stream, TryStreamExt};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use lapdev_store::Which;
use lapdev_tunnel::body::{Body, BoxError};
use std::{convert::Infallible, sync::Arc, time::Duration};
use warp::{Filter, Rejection, Reply, reply::Response};

/// What Prometheus calls the format; taken for plain text, counters lose their type.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Every route of the hub's own.
pub(crate) fn routes(hub: Arc<Hub>) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    let with_hub = warp::any().map(move || Arc::clone(&hub));
    let health = warp::path!("healthz").and(warp::get()).map(|| text(StatusCode::OK, "ok\n"));
    let ready = warp::path!("readyz").and(warp::get()).and(with_hub.clone()).then(readiness);
    let token = warp::header::optional::<String>("authorization");
    let metrics = warp::path!("metrics").and(warp::get()).and(with_hub.clone()).and(token).then(metrics);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let api = warp::path!("api" / "v1" / ..)
        .and(warp::path::tail())
        .and(warp::method())
        .and(query)
        .and(token)
        .and(with_hub)
        .and(warp::body::stream().map(streamed))
        .and_then(api);
    health.or(ready).unify().or(metrics).unify().or(api).unify()
}

async fn readiness(hub: Arc<Hub>) -> Response {
    if hub.ending.is_cancelled() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(READY_PATIENCE, hub.store.config()).await {
        Ok(Ok(_)) => text(StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

async fn metrics(hub: Arc<Hub>, token: Option<String>) -> Response {
    if let Err(failure) = admin::check(&hub, token.as_deref()) {
        return failure.response();
    }
    match hub.metrics.encode(hub.agents.count()) {
        Ok(metrics) => with(StatusCode::OK, OPEN_METRICS, metrics),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
    }
}

fn streamed(body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> Body {
    let frames = body.map_ok(|mut buf| Frame::data(buf.copy_to_bytes(buf.remaining()))).map_err(BoxError::from);
    StreamBody::new(frames).boxed_unsync()
}

async fn api(
    tail: warp::path::Tail,
    method: Method,
    query: String,
    token: Option<String>,
    hub: Arc<Hub>,
    body: Body,
) -> Result<Response, Infallible> {
    let answered = match admin::check(&hub, token.as_deref()) {
        Ok(()) => answer(&hub, tail.as_str(), &method, &query, body).await,
        Err(failure) => Err(failure),
    };
    Ok(answered.unwrap_or_else(|failure| failure.response()))
}

async fn answer(hub: &Hub, path: &str, method: &Method, query: &str, body: Body) -> Result<Response, Failure> {
    let segments: Vec<_> = path.split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::GET, ["environments"]) => {
            let closed = query.split('&').any(|pair| pair == "closed=true");
            let which = if closed { Which::All } else { Which::Living };
            Ok(json(StatusCode::OK, &view::environments(hub, which).await?))
        }
        (&Method::GET, ["environments", name]) => Ok(json(StatusCode::OK, &view::environment(hub, name).await?)),
        (&Method::POST, ["environments", name, "trace"]) => {
            Ok(json(StatusCode::OK, &trace::trace(hub, name, body).await?))
        }
        (&Method::GET, ["clusters"]) => Ok(json(StatusCode::OK, &view::clusters(hub).await?)),
        (&Method::GET, ["config"]) => Ok(json(StatusCode::OK, &hub.store.config().await?)),
        (&Method::GET, ["audit"]) => Ok(json(StatusCode::OK, &audit::audit(hub).await?)),
        (&Method::POST, ["clusters", name, "tokens"]) => {
            Ok(json(StatusCode::CREATED, &tokens::create(hub, name).await?))
        }
        (&Method::GET, ["clusters", name, "tokens"]) => Ok(json(StatusCode::OK, &tokens::list(hub, name).await?)),
        (&Method::DELETE, ["clusters", name, "tokens", id]) => {
            tokens::revoke(hub, name, id).await?;
            Ok(no_content())
        }
        _ => Err(Failure::NoRoute),
    }
}
