//! Holds back an agent's writes of one object, on their way to the API server or on the way back, for as long as a test
//! wants: what crosses something else on the wire does so without luck.

use crate::lab::LIMIT;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use kube::{Client, client::Body};
use lapdev_tests::stage::{Error, within};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::watch;
use tower_service::Service;

/// Where a write is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
}

/// Open at first. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    closed: Arc<watch::Sender<Option<(Way, String)>>>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Gate {
    pub fn new() -> Self {
        Self { closed: Arc::new(watch::Sender::new(None)), waiting: Arc::new(watch::Sender::new(0)) }
    }

    /// From now on writes to what ends so wait.
    pub fn close(&self, way: Way, end: String) {
        self.closed.send_replace(Some((way, end)));
    }

    pub fn open(&self) {
        self.closed.send_replace(None);
    }

    /// Waits until a write waits.
    pub async fn held(&self) -> Result<(), Error> {
        let mut waiting = self.waiting.subscribe();
        let held = tokio::time::timeout(LIMIT, waiting.wait_for(|waiting| *waiting > 0)).await;
        within(held.is_ok(), "no write came to the gate")
    }

    /// The same API server, behind this gate.
    pub fn before(&self, client: Client) -> Client {
        Client::new(Gated { client, gate: self.clone() }, "default")
    }

    async fn pass(&self, way: Way, path: &str) {
        let stops = |closed: &Option<(Way, String)>| {
            closed.as_ref().is_some_and(|(closed, end)| *closed == way && path.ends_with(end.as_str()))
        };
        let mut closed = self.closed.subscribe();
        if stops(&closed.borrow()) {
            self.waiting.send_modify(|waiting| *waiting += 1);
            // The sender is this gate's own.
            drop(closed.wait_for(|closed| !stops(closed)).await);
            self.waiting.send_modify(|waiting| *waiting -= 1);
        }
    }
}

struct Gated {
    client: Client,
    gate: Gate,
}

impl Service<Request<Body>> for Gated {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, kube::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, gate) = (self.client.clone(), self.gate.clone());
        Box::pin(async move {
            if request.method() != Method::PATCH {
                return client.send(request).await;
            }
            let path = request.uri().path().to_owned();
            gate.pass(Way::There, &path).await;
            let answer = client.send(request).await;
            gate.pass(Way::Back, &path).await;
            answer
        })
    }
}
