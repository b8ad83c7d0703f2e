//! HTTP/2 with prior knowledge: each stream is a request of its own, routed by its own key, on whichever connection to
//! its endpoint this worker has. gRPC is this and nothing more.
//!
//! Bounds on a client: streams, windows, header lists and resets, see [`crate::limits`]. The `h2` library refuses
//! continuation floods and floods of empty or tiny frames itself; rapid resets are counted here too, since each one has
//! cost an endpoint a request by then.

mod body;
mod pipe;
mod stream;
mod upstreams;
mod window;

pub use upstreams::Upstreams;

use crate::{
    buffer::Buffer,
    connection::Client,
    limits::{
        CONNECTION_WINDOW, HEAD_BYTES, HEAD_TIME, IDLE, RESETS, RESETS_WITHIN, SEND_BUFFER, STREAM_WINDOW, STREAMS,
    },
    worker::Worker,
};
use bytes::Bytes;
use h2::Reason;
use http::HeaderValue;
use pipe::Pipe;
use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};
use stream::Caller;
use tokio::time::{interval, timeout};
use window::Window;

/// How often a connection is looked over for how long it was idle.
const LOOK: Duration = Duration::from_secs(30);

/// Serves a connection until either side wants no more.
pub async fn serve(worker: &Rc<Worker>, client: Client, first: Buffer) {
    let Client { stream, ip, address, target } = client;
    let (element, plain) = (HeaderValue::from_str(&address.element), HeaderValue::from_str(&address.plain));
    let (Ok(element), Ok(plain)) = (element, plain) else { return };
    let window = Window::new(worker);
    let caller = Rc::new(Caller { ip, element, plain, target, resets: Resets::default(), window: window.clone() });
    let (pipe, flush) = Pipe::new(stream, Some(first));
    let handshake = flush.after(builder().handshake::<_, Bytes>(pipe));
    let Ok(Ok(mut connection)) = timeout(HEAD_TIME, handshake).await else { return };
    let mut closing = std::pin::pin!(worker.until_closing());
    let (mut look, mut used, mut leaving) = (interval(LOOK), Instant::now(), false);
    loop {
        tokio::select! {
            accepted = flush.after(connection.accept()) => {
                let Some(Ok((request, respond))) = accepted else { return };
                used = Instant::now();
                if caller.resets.are_too_many(used) {
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                // In a box, since it is large, and is moved on its way into a task.
                let serve = Box::pin(stream::serve(worker.clone(), caller.clone(), request, respond));
                worker.tasks.spawn_local(serve);
            }
            _ = look.tick() => {
                if connection.has_streams() {
                    used = Instant::now();
                } else if used.elapsed() > IDLE && !leaving {
                    leaving = true;
                    connection.graceful_shutdown();
                }
            }
            () = window.changed() => connection.set_target_window_size(window.size()),
            () = &mut closing, if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
            }
        }
    }
}

fn builder() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    let header_list = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(header_list)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(RESETS))
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// A client's resets of streams within a time.
#[derive(Debug)]
pub(crate) struct Resets {
    since: Cell<Instant>,
    count: Cell<u32>,
}

impl Default for Resets {
    fn default() -> Self {
        Self { since: Cell::new(Instant::now()), count: Cell::new(0) }
    }
}

impl Resets {
    /// One more.
    pub(crate) fn count(&self) {
        self.count.set(self.count.get().saturating_add(1));
    }

    fn are_too_many(&self, now: Instant) -> bool {
        let (most, within) = RESETS_WITHIN;
        if now.saturating_duration_since(self.since.get()) > within {
            self.since.set(now);
            self.count.set(0);
        }
        self.count.get() > most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_too_many_only_within_a_time() {
        let (resets, now) = (Resets::default(), Instant::now());
        (0..=RESETS_WITHIN.0).for_each(|_| resets.count());
        assert!(resets.are_too_many(now));
        assert!(!resets.are_too_many(now + RESETS_WITHIN.1 * 2));
    }
}
