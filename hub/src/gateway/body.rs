//! A body that passes through, and what it holds on to until its end.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use lapdev_tunnel::body::BoxError;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// A body that keeps `held` until it ends or is dropped: a place in the tunnel, most of all.
pub(super) struct Holding<B, H> {
    body: B,
    held: Option<H>,
}

impl<B, H> Holding<B, H> {
    pub(super) fn new(body: B, held: H) -> Self {
        Self { body, held: Some(held) }
    }
}

impl<B, H> HttpBody for Holding<B, H>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    H: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.held = None;
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
