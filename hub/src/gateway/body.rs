//! A body that passes through, and what it holds on to until its end.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use lapdev_tunnel::body::BoxError;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

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

/// A body that must move on: it breaks when nothing of it comes for too long while somebody waits.
pub(super) struct Moving<B> {
    body: B,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<B> Moving<B> {
    pub(super) fn new(body: B, patience: Duration) -> Self {
        Self { body, patience, deadline: Box::pin(tokio::time::sleep(patience)) }
    }
}

impl<B> HttpBody for Moving<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            let next = Instant::now() + self.patience;
            self.deadline.as_mut().reset(next);
            return polled.map_err(Into::into);
        }
        self.deadline.as_mut().poll(cx).map(|()| Some(Err("the request's body does not move on".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_breaks_and_one_that_drips_does_not() {
        let (sender, receiver) = mpsc::channel(1);
        let mut body = Moving::new(lapdev_tunnel::body::channel(receiver), Duration::from_secs(10));
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(8)).await;
            sender.send(Bytes::from_static(b"x")).await.expect("open");
            assert!(body.frame().await.expect("a frame").is_ok());
        }
        assert!(body.frame().await.expect("an error").is_err());
    }
}
