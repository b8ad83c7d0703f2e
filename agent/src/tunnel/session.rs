//! One session: HTTP/2 served inside the WebSocket, each request handed to the module that answers it.

use super::{Cluster, Outbox, TunnelState, bundle, control, dial::Socket, forward, probe};
use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use lapdev_api::wire::{
    AUTHORITY, BUNDLES_PATH, CONTROL_PATH, ERROR_HEADER, FORWARD_HEADER, INVENTORY_PATH, TRACE_PATH,
};
use lapdev_tunnel::{
    body::{self, Body},
    h2,
    link::{Closer, Ended, Heartbeat, NORMAL, link},
};
use serde::Serialize;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const INVENTORY_PATIENCE: Duration = Duration::from_secs(60);
/// What a session started ends with it, at once; more would be a defect, and must not hold up the next session.
const TASKS_PATIENCE: Duration = Duration::from_secs(10);
/// Bundles that are unpacked at once; each may be as large as `MAX_BUNDLE`.
const BUNDLES_AT_ONCE: usize = 2;

/// What a session needs of the agent.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) outbox: Outbox,
    pub(super) state: watch::Sender<TunnelState>,
}

/// One session's own.
pub(super) struct Session {
    pub(super) parts: Parts,
    pub(super) closer: Closer,
    /// Ended when the session is: what it started stops then.
    pub(super) ended: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) bundles: Semaphore,
    control_taken: AtomicBool,
}

/// Serves one session until it ends, or the Lease is no longer of the `current` epoch; nothing of it is left then.
pub(super) async fn run(
    socket: Socket,
    heartbeat: Heartbeat,
    parts: Parts,
    current: u64,
    epoch: &mut watch::Receiver<Option<u64>>,
    shutdown: &CancellationToken,
) -> Ended {
    let (bytes, closer, pump) = link(socket, heartbeat);
    let session = Arc::new(Session {
        parts,
        closer: closer.clone(),
        ended: CancellationToken::new(),
        tasks: TaskTracker::new(),
        bundles: Semaphore::new(BUNDLES_AT_ONCE),
        control_taken: AtomicBool::new(false),
    });
    let service = {
        let session = session.clone();
        service_fn(move |request| answer(session.clone(), request))
    };
    let connection = h2::server(&session.tasks).serve_connection(TokioIo::new(bytes), service);
    // When HTTP/2 ends, its bytes end, and so the pump does.
    let serve = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 inside the tunnel ended");
        }
        std::future::pending::<()>().await;
    };
    let stop = async {
        let lost = async {
            if epoch.wait_for(|epoch| *epoch != Some(current)).await.is_err() {
                // The Lease's keeper is gone, so it does not change any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! { () = shutdown.cancelled() => {}, () = lost => {} }
        closer.close(NORMAL, "the agent stops or lost its Lease");
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = pump.run() => ended,
        () = serve => unreachable!("pending"),
        () = stop => unreachable!("pending"),
    };
    session.ended.cancel();
    session.tasks.close();
    if tokio::time::timeout(TASKS_PATIENCE, session.tasks.wait()).await.is_err() {
        tracing::error!(left = session.tasks.len(), "tasks of an ended session do not end");
    }
    ended
}

async fn answer(session: Arc<Session>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.headers().contains_key(FORWARD_HEADER) {
        return Ok(forward::answer(&session, request).await);
    }
    if request.uri().authority().map(http::uri::Authority::as_str) != Some(AUTHORITY) {
        return Ok(failure(StatusCode::MISDIRECTED_REQUEST, "authority", "not a request to the agent"));
    }
    let path = request.uri().path().to_owned();
    Ok(match (request.method(), path.as_str()) {
        (&Method::POST, CONTROL_PATH) if !session.control_taken.swap(true, Ordering::Relaxed) => {
            control::answer(&session, request)
        }
        (&Method::POST, CONTROL_PATH) => failure(StatusCode::CONFLICT, "control", "the session has its control stream"),
        (&Method::POST, TRACE_PATH) => probe::answer(&session, request).await,
        (&Method::GET, INVENTORY_PATH) => inventory(&session).await,
        (&Method::PUT, path) if path.starts_with(BUNDLES_PATH) => {
            bundle::answer(&session, &path[BUNDLES_PATH.len()..], request).await
        }
        _ => failure(StatusCode::NOT_FOUND, "path", "the agent has no such path"),
    })
}

async fn inventory(session: &Session) -> Response<Body> {
    let asked = tokio::time::timeout(INVENTORY_PATIENCE, session.parts.cluster.inventory());
    match asked.await {
        Err(_) => failure(StatusCode::GATEWAY_TIMEOUT, "inventory", "the API server did not answer in time"),
        Ok(Err(cause)) => failure(StatusCode::BAD_GATEWAY, "inventory", &cause),
        Ok(Ok(inventory)) => json(&inventory),
    }
}

/// An answer of the agent's own that is not a failure.
pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    let json = serde_json::to_vec(value).expect("what is answered has only string keys");
    let mut response = Response::new(body::full(json));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// An answer of the agent's own: a cause in words, marked so that nobody takes it for the application's.
pub(super) fn failure(status: StatusCode, kind: &'static str, cause: &str) -> Response<Body> {
    let mut response = Response::new(body::full(format!("{cause}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ERROR_HEADER, header::HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
