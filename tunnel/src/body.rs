//! The one body type of requests and responses inside the tunnel.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::sync::mpsc;

/// Why a body ended early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any body, streamed.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body without a byte.
#[must_use]
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is all there.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that goes on for as long as the sender lives; the channel's bound is the back-pressure.
#[must_use]
pub fn channel(mut chunks: mpsc::Receiver<Bytes>) -> Body {
    let stream = futures_util::stream::poll_fn(move |cx| {
        chunks.poll_recv(cx).map(|chunk| chunk.map(|bytes| Ok::<_, BoxError>(Frame::data(bytes))))
    });
    StreamBody::new(stream).boxed_unsync()
}
