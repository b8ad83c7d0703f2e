//! One request through the tunnel, streamed both ways.

use super::{
    Failure,
    body::{Holding, Moving},
    headers::{self, Client},
    trace, upgrade,
};
use crate::{agents::Session, hub::Hub};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lapdev_api::{bundle::DialTarget, kinds::Port, record::EnvironmentRecord, wire::ERROR_HEADER};
use lapdev_tunnel::body::Body;
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// Until there is a place in the tunnel.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
/// Until the application's headers; the agent gives up a little earlier and says why.
const ANSWER_PATIENCE: Duration = Duration::from_secs(310);

/// Passes the request on and gives the application's answer back.
pub(super) async fn forward(
    hub: &Hub,
    session: &Session,
    record: &EnvironmentRecord,
    target: &DialTarget,
    client: &Client<'_>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let place = place(session).await?;
    let switch = upgrade::requested(&mut request);
    let stall = hub.settings.limits.stall_timeout;
    let mut outgoing = prepare(record, target, client, request, stall)?;
    if let Some(switch) = &switch {
        switch.ask(&mut outgoing);
    }
    let answered = tokio::time::timeout(ANSWER_PATIENCE, session.send(outgoing)).await;
    let mut response = answered.map_err(|_| Failure::Late)?.map_err(Failure::Broken)?;
    if response.headers().contains_key(ERROR_HEADER) {
        let status = response.status();
        return Err(Failure::Agent { status, cause: Session::cause(response).await });
    }
    headers::incoming(response.headers_mut());
    *response.version_mut() = Version::default();
    Ok(match switch {
        Some(switch) if response.status().is_success() => switch.join(hub, response, place),
        _ => response.map(|body| Holding::new(body, place).boxed_unsync()),
    })
}

async fn place(session: &Session) -> Result<OwnedSemaphorePermit, Failure> {
    let place = Arc::clone(&session.forwards).acquire_owned();
    match tokio::time::timeout(PLACE_PATIENCE, place).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Failure::Busy),
    }
}

fn prepare(
    record: &EnvironmentRecord,
    target: &DialTarget,
    client: &Client<'_>,
    request: Request<Incoming>,
    stall: Duration,
) -> Result<Request<Body>, Failure> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned().ok_or(Failure::Illegal)?;
    let uri = Uri::builder().scheme("http").authority(client.authority.clone()).path_and_query(path);
    parts.uri = uri.build().map_err(|_| Failure::Illegal)?;
    parts.version = Version::HTTP_2;
    parts.extensions.clear();
    headers::outgoing(&mut parts.headers, client, name(record, target)?);
    trace::write(&mut parts.headers, record.identity.branch.as_ref().map(|branch| &branch.key));
    Ok(Request::from_parts(parts, Moving::new(body, stall).boxed_unsync()))
}

/// The target's name in the tunnel.
fn name(record: &EnvironmentRecord, target: &DialTarget) -> Result<HeaderValue, Failure> {
    let DialTarget { namespace, service, port } = target;
    let port = match port {
        Port::Number(number) => number.to_string(),
        Port::Name(name) => name.clone(),
    };
    let name = format!("{}/{namespace}/{service}/{port}", record.identity.uid);
    HeaderValue::try_from(name).map_err(|_| Failure::Illegal)
}
