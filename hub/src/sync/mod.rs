//! Desired state to one agent, and its word back: the control stream of one session, and the bundles beside it.
//!
//! Two directions, each at its own pace: what the agent says is taken in though it does not read, and the other way
//! round. Nothing here is shared between sessions, so that a slow agent holds up nobody else.

mod bundles;
mod difference;
mod intake;

use crate::{agents::Session, hub::Hub};
use bytes::Bytes;
use difference::Said;
use http::{Method, Request, Uri};
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    wire::{AUTHORITY, AgentMessage, CONTROL_PATH, ClusterPolicy, HEARTBEAT_SECONDS, Held, HubMessage, PROTOCOL},
};
use lapdev_store::{Adopted, StoreError, Topic};
use lapdev_tunnel::{
    body::{self, Body},
    lines::{LineError, Lines, encode},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
const HELLO_PATIENCE: Duration = Duration::from_secs(60);
/// An agent that does not read its control stream for so long makes no progress.
const STALLED_AFTER: Duration = Duration::from_secs(60);
const OUT_BUFFER: usize = 16;
const WANTED_BUFFER: usize = 64;

/// Why the control stream ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    #[error("the agent did not answer to the control stream")]
    NoAnswer,
    #[error("the agent refused the control stream with {0}")]
    Refused(http::StatusCode),
    #[error("the control stream broke")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the agent did not say hello in time")]
    NoHello,
    #[error("the agent speaks protocol {0}, the control plane {PROTOCOL}; upgrade the older of the two")]
    Protocol(u32),
    #[error("the agent's messages came out of order")]
    OutOfOrder,
    #[error("the agent does not read its control stream")]
    Stalled,
    #[error("the agent ended the control stream")]
    Ended,
}

/// What one session's two directions share.
struct Exchange<'a> {
    hub: &'a Hub,
    session: &'a Session,
    out: mpsc::Sender<Bytes>,
    said: Mutex<Said>,
}

/// Keeps one agent in step until something ends it; says what.
pub(crate) async fn run(hub: &Hub, session: &Session, policy: &ClusterPolicy) -> SyncError {
    match exchange(hub, session, policy).await {
        Ok(()) => SyncError::Ended,
        Err(error) => error,
    }
}

async fn exchange(hub: &Hub, session: &Session, policy: &ClusterPolicy) -> Result<(), SyncError> {
    let (out, body) = mpsc::channel(OUT_BUFFER);
    let exchange = Exchange { hub, session, out, said: Mutex::default() };
    let welcome =
        HubMessage::Welcome { protocol: PROTOCOL, control_plane: hub.store.control_plane_id(), policy: policy.clone() };
    exchange.say(&welcome).await?;
    let mut lines = Lines::new(open(session, body::channel(body)).await?);
    let held = hello(hub, session, &mut lines).await?;
    exchange.adopt(&held).await?;
    let (wanted, requests) = mpsc::channel(WANTED_BUFFER);
    tokio::try_join!(
        exchange.follow(),
        intake::listen(&exchange, lines, wanted),
        bundles::push(hub, session, requests),
        exchange.note_presence(),
    )?;
    Ok(())
}

async fn open(session: &Session, body: Body) -> Result<hyper::body::Incoming, SyncError> {
    let answer = tokio::time::timeout(ANSWER_PATIENCE, session.send(request(Method::POST, CONTROL_PATH, body)));
    let response = answer.await.map_err(|_| SyncError::NoAnswer)?.map_err(SyncError::Broken)?;
    if !response.status().is_success() {
        return Err(SyncError::Refused(response.status()));
    }
    Ok(response.into_body())
}

/// A request to the agent itself.
pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let uri = Uri::builder().scheme("http").authority(AUTHORITY).path_and_query(path);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().expect("the agent's paths are legal");
    *request.version_mut() = http::Version::HTTP_2;
    request
}

async fn hello(hub: &Hub, session: &Session, lines: &mut Lines<hyper::body::Incoming>) -> Result<Vec<Held>, SyncError> {
    let first = tokio::time::timeout(HELLO_PATIENCE, lines.next()).await.map_err(|_| SyncError::NoHello)??;
    let Some(AgentMessage::Hello { protocol, kubernetes, held, .. }) = first else {
        return Err(SyncError::OutOfOrder);
    };
    if protocol != PROTOCOL {
        return Err(SyncError::Protocol(protocol));
    }
    hub.store.session_seen(&session.cluster, session.epoch, Some(&kubernetes), Timestamp::now()).await?;
    Ok(held)
}

impl Exchange<'_> {
    /// Takes up what the agent holds and the store does not know, and remembers what need not be said.
    async fn adopt(&self, held: &[Held]) -> Result<(), SyncError> {
        for held in held {
            let (uid, name) = (&held.identity.uid, &held.identity.name);
            match self.hub.store.adopt(&self.session.cluster, held, Timestamp::now()).await? {
                Adopted::Known => {}
                Adopted::Adopted => tracing::warn!(%uid, %name, "adopted an environment that only its agent knew"),
                Adopted::Refused => tracing::error!(%uid, %name, "the agent holds an environment of another cluster"),
            }
        }
        *self.said() = Said::from_held(held);
        Ok(self.hub.store.session_adopted(&self.session.cluster, self.session.epoch).await?)
    }

    /// Says what differs, at first and after each change.
    async fn follow(&self) -> Result<(), SyncError> {
        let mut changes = self.hub.store.watch(Topic::Desired);
        let mut synced = false;
        loop {
            changes.borrow_and_update();
            let desired = self.hub.store.desired(&self.session.cluster).await?;
            let due = self.said().due(&desired);
            for message in due {
                self.say(&message).await?;
            }
            if !synced {
                self.say(&HubMessage::Synced).await?;
                synced = true;
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Tells the store now and then that the agent lives: a dead one's session ends.
    async fn note_presence(&self) -> Result<(), SyncError> {
        let mut ticks = tokio::time::interval(Duration::from_secs(HEARTBEAT_SECONDS));
        loop {
            ticks.tick().await;
            let now = Timestamp::now();
            self.hub.store.session_seen(&self.session.cluster, self.session.epoch, None, now).await?;
        }
    }

    async fn say(&self, message: &HubMessage) -> Result<(), SyncError> {
        match tokio::time::timeout(STALLED_AFTER, self.out.send(encode(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SyncError::Ended),
            Err(_) => Err(SyncError::Stalled),
        }
    }

    /// Whether this cluster was ever told of the bundle: an agent gets no other cluster's.
    fn was_told_of(&self, digest: &Digest) -> bool {
        self.said().names(digest)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
