//! A connection whose first bytes were read to see what it speaks, as the `h2` library wants it: from its beginning.

use crate::buffer::Buffer;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The bytes that were read, then the rest.
#[derive(Debug)]
pub struct Resumed {
    stream: TcpStream,
    first: Option<Buffer>,
}

impl Resumed {
    /// `first` was read from `stream`.
    pub fn new(stream: TcpStream, first: Buffer) -> Self {
        Self { stream, first: Some(first) }
    }
}

impl AsyncRead for Resumed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(first) = &mut self.first else { return Pin::new(&mut self.stream).poll_read(cx, into) };
        let count = first.len().min(into.remaining());
        into.put_slice(&first.bytes()[..count]);
        first.consume(count);
        if first.is_empty() {
            self.first = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Resumed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
