//! HTTP/2's settings inside the tunnel, and the executor that keeps its tasks owned.
//!
//! A receiver that stalls holds at most one stream window of the connection's window. The connection's window has room
//! for all streams that may be open at once, so stalled previews can never hold up the control stream.

use hyper::{client::conn::http2 as client, rt::Executor, server::conn::http2 as server};
use hyper_util::rt::TokioTimer;
use std::{future::Future, time::Duration};
use tokio_util::task::TaskTracker;

/// How many requests may be open at once in one tunnel.
pub const MAX_STREAMS: u32 = 1024 + RESERVED;
/// How many of them previews may use; the rest is for control and bundles.
pub const MAX_FORWARDS: usize = 1024;
const RESERVED: u32 = 32;
/// What one stream may have in flight, in bytes: 64 KiB per round trip and stream.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// All headers of one message, in bytes. Both ends let in a quarter of it from outside, because HTTP/2's code makes odd
/// bytes up to three and a half times as long, and a block that does not fit ends the whole connection.
const MAX_HEADERS: u32 = 256 << 10;
/// How many requests may be given up before the agent has looked at them: what browsers can do while the wire stalls.
const MOST_GIVEN_UP: usize = 16 * MAX_STREAMS as usize;
const SEND_BUFFER: usize = 64 << 10;

/// Runs a connection's tasks where their owner can wait for them.
#[derive(Debug, Clone)]
pub struct Owned(pub TaskTracker);

impl<F> Executor<F> for Owned
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// The hub's end.
#[must_use]
pub fn client(tasks: &TaskTracker) -> client::Builder<Owned> {
    let mut builder = client::Builder::new(Owned(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .max_local_error_reset_streams(None)
        .initial_max_send_streams(MAX_STREAMS as usize);
    builder
}

/// The agent's end.
#[must_use]
pub fn server(tasks: &TaskTracker) -> server::Builder<Owned> {
    let mut builder = server::Builder::new(Owned(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        // These two guard against a hostile peer. The hub is none, and browsers that give up while the wire stalls must
        // not cost everybody the tunnel.
        .max_pending_accept_reset_streams(MOST_GIVEN_UP)
        .max_local_error_reset_streams(None)
        .enable_connect_protocol()
        .keep_alive_timeout(Duration::from_secs(60));
    builder
}
