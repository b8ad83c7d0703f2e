//! HTTP/2 connections to endpoints: few of them, each carrying many streams, shared by all clients of one worker.

use super::pipe::Pipe;
use crate::{
    limits::{ANSWER_WINDOW, H2_PER_ENDPOINT, HEAD_BYTES, HEAD_TIME, IDLE_UPSTREAM, SEND_BUFFER, STREAMS_PER_UPSTREAM},
    socket,
    table::Endpoint,
};
use bytes::Bytes;
use h2::client::SendRequest;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Weak},
    time::Instant,
};
use tokio::{sync::Mutex, time::timeout};

/// By endpoint.
#[derive(Debug, Default)]
pub struct Upstreams {
    by_address: RefCell<HashMap<SocketAddr, Rc<OfEndpoint>>>,
}

#[derive(Debug)]
struct OfEndpoint {
    endpoint: Weak<Endpoint>,
    open: RefCell<Vec<Upstream>>,
    /// So that a hundred requests at once open one connection and not a hundred.
    opening: Mutex<()>,
    /// How often none could be opened.
    failures: Cell<u64>,
}

#[derive(Debug)]
struct Upstream {
    requests: SendRequest<Bytes>,
    state: Rc<State>,
}

/// What is known of a connection outside of the library.
#[derive(Debug)]
pub struct State {
    streams: Cell<usize>,
    dead: Cell<bool>,
    used: Cell<Instant>,
}

/// A stream's share of its connection, until it is dropped.
#[derive(Debug)]
pub struct Share(Rc<State>);

impl Share {
    fn of(state: &Rc<State>) -> Self {
        state.streams.set(state.streams.get() + 1);
        Self(state.clone())
    }

    /// The connection takes no new streams.
    pub fn is_dead(&self) {
        self.0.dead.set(true);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.used.set(Instant::now());
    }
}

impl Upstreams {
    /// A connection to an endpoint that takes a new stream. `opened` is told of a new one.
    ///
    /// # Errors
    /// If none can be opened.
    pub async fn dial(&self, endpoint: &Arc<Endpoint>, opened: impl Fn()) -> io::Result<(SendRequest<Bytes>, Share)> {
        let of = self.of(endpoint);
        loop {
            if let Some((requests, share)) = of.best() {
                match requests.ready().await {
                    Ok(requests) => return Ok((requests, share)),
                    Err(_) => share.is_dead(),
                }
                continue;
            }
            let failures = of.failures.get();
            let _opening = of.opening.lock().await;
            if of.best().is_some() {
                continue;
            }
            // Who waited for an attempt shares its end: one after the other, the hundredth would wait a hundred times as long.
            if of.failures.get() != failures {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            // In a box: it is rare, and every request would hold room for it.
            let upstream = Box::pin(open(endpoint.address)).await.inspect_err(|_| of.failures.set(failures + 1))?;
            of.open.borrow_mut().push(upstream);
            opened();
        }
    }

    fn of(&self, endpoint: &Arc<Endpoint>) -> Rc<OfEndpoint> {
        let mut all = self.by_address.borrow_mut();
        if let Some(of) = all.get(&endpoint.address).filter(|of| of.endpoint.as_ptr() == Arc::as_ptr(endpoint)) {
            return of.clone();
        }
        let (endpoint, address) = (Arc::downgrade(endpoint), endpoint.address);
        let of =
            Rc::new(OfEndpoint { endpoint, open: RefCell::default(), opening: Mutex::new(()), failures: Cell::new(0) });
        all.insert(address, of.clone());
        of
    }

    /// Lets go of connections that are idle, dead, or to an endpoint that is gone; they end with their last stream.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.by_address.borrow_mut().retain(|_, of| {
            let gone = of.endpoint.strong_count() == 0;
            of.open.borrow_mut().retain(|upstream| {
                let state = &upstream.state;
                let idle = state.streams.get() == 0 && now.duration_since(state.used.get()) > IDLE_UPSTREAM;
                !gone && !idle && !state.dead.get()
            });
            !of.open.borrow().is_empty() || Rc::strong_count(of) > 1
        });
    }

    /// Lets go of all.
    pub fn clear(&self) {
        self.by_address.borrow_mut().clear();
    }
}

impl OfEndpoint {
    /// The connection with the fewest streams, if it has room or no other may be opened.
    fn best(&self) -> Option<(SendRequest<Bytes>, Share)> {
        let mut open = self.open.borrow_mut();
        open.retain(|upstream| !upstream.state.dead.get());
        let full = open.len() >= H2_PER_ENDPOINT;
        let best = open.iter().min_by_key(|upstream| upstream.state.streams.get())?;
        let room = STREAMS_PER_UPSTREAM.min(best.requests.current_max_send_streams());
        let usable = full || best.state.streams.get() < room;
        usable.then(|| (best.requests.clone(), Share::of(&best.state)))
    }
}

async fn open(address: SocketAddr) -> io::Result<Upstream> {
    let stream = socket::connect(address).await?;
    let all_answers =
        u32::try_from(STREAMS_PER_UPSTREAM).map_or(u32::MAX, |streams| ANSWER_WINDOW.saturating_mul(streams));
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(ANSWER_WINDOW)
        .initial_connection_window_size(all_answers)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    let (pipe, flush) = Pipe::new(stream, None);
    let handshake = timeout(HEAD_TIME, flush.after(builder.handshake::<_, Bytes>(pipe))).await;
    let (requests, connection) = handshake.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)?;
    let state = Rc::new(State { streams: Cell::new(0), dead: Cell::new(false), used: Cell::new(Instant::now()) });
    let ends = state.clone();
    // Ends by itself when the last handle and stream are dropped, and with the worker's runtime at the latest.
    tokio::task::spawn_local(async move {
        if let Err(error) = flush.after(connection).await {
            tracing::debug!(%error, endpoint = %address, "an HTTP/2 connection ended");
        }
        ends.dead.set(true);
    });
    Ok(Upstream { requests, state })
}
