//! The agents that are connected now: at most one session for each cluster, the one of the highest epoch.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use lapdev_api::{name::ClusterName, wire::close};
use lapdev_tunnel::{
    body::{Body, BoxError},
    h2::MAX_FORWARDS,
    link::{Closer, NORMAL},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Of an agent's words, in bytes.
const MAX_CAUSE: usize = 1024;
const CAUSE_PATIENCE: Duration = Duration::from_secs(5);

/// One agent's open session. Clones are the same session.
#[derive(Clone)]
pub(crate) struct Session {
    id: u64,
    /// Whose.
    pub(crate) cluster: ClusterName,
    /// Of the agent's Lease.
    pub(crate) epoch: u64,
    /// Room for previews' requests; the rest of the streams is for control and bundles.
    pub(crate) forwards: Arc<Semaphore>,
    closer: Closer,
    requests: SendRequest<Body>,
}

impl Session {
    pub(crate) fn new(cluster: ClusterName, epoch: u64, closer: Closer, requests: SendRequest<Body>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, cluster, epoch, forwards: Arc::new(Semaphore::new(MAX_FORWARDS)), closer, requests }
    }

    /// Sends one request to the agent; the answer's body streams.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, hyper::Error> {
        let mut requests = self.requests.clone();
        requests.ready().await?;
        requests.send_request(request).await
    }

    /// What an agent says of why it refused, as far as it comes in time and is not too long.
    pub(crate) async fn cause(response: Response<Incoming>) -> String {
        let cause = Limited::new(response.into_body(), MAX_CAUSE).collect();
        match tokio::time::timeout(CAUSE_PATIENCE, cause).await {
            Ok(Ok(cause)) => String::from_utf8_lossy(&cause.to_bytes()).trim().to_owned(),
            Ok(Err(_)) | Err(_) => String::new(),
        }
    }

    /// Sends one request and reads the whole answer, which must not have more than `most` bytes.
    pub(crate) async fn ask(&self, request: Request<Body>, most: usize) -> Result<Response<Bytes>, BoxError> {
        let (parts, body) = self.send(request).await?.into_parts();
        let bytes = Limited::new(body, most).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, bytes))
    }
}

/// All open sessions.
#[derive(Default)]
pub(crate) struct Agents(Mutex<HashMap<ClusterName, Session>>);

impl Agents {
    /// Makes this the cluster's session. An older one is ended; false when the present one has a higher epoch.
    pub(crate) fn enter(&self, session: Session) -> bool {
        let mut sessions = self.lock();
        if let Some(present) = sessions.get(&session.cluster) {
            if present.epoch > session.epoch {
                return false;
            }
            let newer = present.epoch < session.epoch;
            let code = if newer { close::STAND_BY } else { NORMAL };
            present.closer.close(code, "another session of this cluster's agent took over");
        }
        sessions.insert(session.cluster.clone(), session);
        true
    }

    /// Takes this session out, unless another one took its place already.
    pub(crate) fn leave(&self, session: &Session) {
        let mut sessions = self.lock();
        if sessions.get(&session.cluster).is_some_and(|present| present.id == session.id) {
            sessions.remove(&session.cluster);
        }
    }

    /// The cluster's session, if its agent is connected.
    pub(crate) fn of(&self, cluster: &ClusterName) -> Option<Session> {
        self.lock().get(cluster).cloned()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterName, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
