//! Every bound of the data plane in one place, with what it protects. Nothing that a client or an endpoint sends can make
//! the router hold more than these allow.

use std::time::Duration;

/// A connection's first bytes are waited for so long; then the silent side is taken to expect that the server speaks first.
pub const SNIFF: Duration = Duration::from_millis(300);
/// So many bytes decide what a connection speaks: the length of HTTP/2's preface.
pub const SNIFF_BYTES: usize = 24;

/// A buffer's size: one per direction that has bytes under way, none for an idle connection.
pub const BUFFER: usize = 16 * 1024;
/// Idle buffers that a worker keeps for the next use.
pub const BUFFERS_KEPT: usize = 128;

/// The longest head of an HTTP/1 message; a longer one is answered 431.
pub const HEAD_BYTES: usize = 32 * 1024;
/// The most header fields of a message; more are answered 431.
pub const FIELDS: usize = 100;
/// The longest line with a chunk's size and extensions.
pub const CHUNK_LINE: usize = 256;
/// The longest section of trailer fields.
pub const TRAILER_BYTES: usize = 8 * 1024;

/// A head must be complete so long after its first byte.
pub const HEAD_TIME: Duration = Duration::from_secs(15);
/// A kept connection without a request is closed after this. Longer than common clients keep theirs (Go: 90 s), so that
/// it is hardly ever the router that closes under a request.
pub const IDLE: Duration = Duration::from_secs(310);
/// A body that moves no byte for so long is given up; so is a client that takes none.
pub const BODY_TIME: Duration = Duration::from_secs(300);
/// What is left of a request that was answered early is read for so long, that the answer is not lost to a reset.
pub const LINGER: Duration = Duration::from_secs(1);

/// An endpoint must accept a connection in this time.
pub const CONNECT: Duration = Duration::from_secs(2);
/// Where every endpoint refused, they are tried again after this, within the table's hold.
pub const TRY_AGAIN: Duration = Duration::from_millis(200);
/// Kept idle connections for each endpoint, per worker.
pub const IDLE_PER_ENDPOINT: usize = 128;
/// Kept idle connections of a worker.
pub const IDLE_PER_WORKER: usize = 1024;
/// So long a connection to an endpoint is kept idle.
pub const IDLE_UPSTREAM: Duration = Duration::from_secs(30);
/// A request that could not be sent again takes a kept connection only if it was used within this time: an endpoint that
/// closes idle connections must not swallow it.
pub const FRESH: Duration = Duration::from_secs(1);

/// After so many failed connections in a row an endpoint is ejected.
pub const FAILURES: u32 = 3;
/// For how long the first time; it doubles up to [`EJECTED_MOST`].
pub const EJECTED: Duration = Duration::from_secs(1);
/// The longest ejection.
pub const EJECTED_MOST: Duration = Duration::from_secs(30);

/// Requests held at once by a worker; another one is answered 503 at once.
pub const HELD: usize = 1024;
/// Connections of a worker; further ones wait in the listener's queue.
pub const CONNECTIONS: usize = 16 * 1024;

/// Streams that a client may have open on one HTTP/2 connection.
pub const STREAMS: u32 = 250;
/// Resets of its streams that a client may have pending before its connection ends (rapid reset).
pub const RESETS: usize = 50;
/// Streams that a client may reset within a time after they were begun, before its connection ends.
pub const RESETS_WITHIN: (u32, Duration) = (500, Duration::from_secs(10));
/// What a client may have under way on an HTTP/2 stream: its window.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of a whole HTTP/2 connection; and [`STREAM_WINDOW`] more for each of its streams that stands still because its
/// endpoint takes nothing, so that the others go on.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams of a worker that stand still for which windows of connections are wider: 16 MiB.
pub const STANDING: usize = 256;
/// What an endpoint may have under way on an HTTP/2 stream. Its connection may have [`STREAMS_PER_UPSTREAM`] times as much: it
/// is shared by all clients, and those that take nothing must not use up what the others need.
pub const ANSWER_WINDOW: u32 = 64 * 1024;
/// What may wait to be sent on one HTTP/2 stream.
pub const SEND_BUFFER: usize = 128 * 1024;
/// Streams for which one HTTP/2 connection to an endpoint is used before another one is opened.
pub const STREAMS_PER_UPSTREAM: usize = 100;
/// What is kept of a request's body until its answer begins, so that it can be sent again to another endpoint if the first
/// says that it did not look at it.
pub const REPLAYED: usize = 64 * 1024;
/// HTTP/2 connections to one endpoint, per worker.
pub const H2_PER_ENDPOINT: usize = 8;

/// A listener whose port left the table is served so long: kube-proxy lags behind.
pub const REMOVED: Duration = Duration::from_secs(60);
