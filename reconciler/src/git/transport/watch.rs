//! TCP connections that note when bytes last moved, so that silence can be told from slowness.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};
use tokio::net::TcpStream;
use tower_service::Service;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
pub(super) type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// When something last moved, on any connection of a fetch.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes connections that note activity.
#[derive(Clone)]
pub(super) struct Watching {
    pub tcp: HttpConnector,
    pub activity: Activity,
    /// They lead to a proxy, which wants whole addresses in requests.
    pub to_proxy: bool,
}

impl Service<hyper::Uri> for Watching {
    type Response = Watched;
    type Error = BoxError;
    type Future = Connecting<Watched>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: hyper::Uri) -> Self::Future {
        let (connecting, activity, to_proxy) = (self.tcp.call(to), self.activity.clone(), self.to_proxy);
        Box::pin(async move {
            let stream = connecting.await?;
            activity.note();
            Ok(Watched { stream, activity, to_proxy })
        })
    }
}

/// A connection that notes activity.
pub(super) struct Watched {
    stream: TokioIo<TcpStream>,
    activity: Activity,
    to_proxy: bool,
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.to_proxy)
    }
}

impl Read for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.activity.note();
        Poll::Ready(read)
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.activity.note();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
