//! A connection as the `h2` library wants it: from its beginning, although its first bytes were read to see what it speaks;
//! and written to once for many frames. The library flushes after each larger piece of a body, which would be a system
//! call for each; so what it writes is gathered, and goes out when it has nothing more to do ([`Flush::after`]).

use crate::{buffer::Buffer, limits::BUFFER};
use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop,
};

/// The library's end of the connection.
#[derive(Debug)]
pub struct Pipe {
    shared: Rc<Shared>,
    first: Option<Buffer>,
}

/// By which what was gathered goes out.
#[derive(Debug, Clone)]
pub struct Flush(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    gathered: RefCell<Option<Buffer>>,
}

impl Pipe {
    /// `first` was read from `stream`.
    pub fn new(stream: TcpStream, first: Option<Buffer>) -> (Self, Flush) {
        let shared = Rc::new(Shared { stream, gathered: RefCell::default() });
        (Self { shared: shared.clone(), first }, Flush(shared))
    }
}

impl Flush {
    /// Polls what drives the library, and sends what it has written whenever it waits.
    pub async fn after<F: Future>(&self, library: F) -> F::Output {
        let mut library = pin!(library);
        std::future::poll_fn(|cx| {
            let done = library.as_mut().poll(cx);
            if done.is_pending() {
                // That the connection broke the library learns by its next read or write.
                let _ = self.0.send(cx);
            }
            done
        })
        .await
    }
}

impl Shared {
    /// Sends what was gathered, as far as it is taken.
    fn send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.gathered.borrow_mut();
        while let Some(buffer) = gathered.as_mut() {
            match self.stream.try_write(buffer.bytes()) {
                Ok(count) => buffer.consume(count),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => ready!(self.stream.poll_write_ready(cx))?,
                Err(why) => return Poll::Ready(Err(why)),
            }
            if buffer.is_empty() {
                *gathered = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn len(&self) -> usize {
        self.gathered.borrow().as_ref().map_or(0, Buffer::len)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(first) = &mut self.first {
            let count = first.len().min(into.remaining());
            into.put_slice(&first.bytes()[..count]);
            first.consume(count);
            if first.is_empty() {
                self.first = None;
            }
            return Poll::Ready(Ok(()));
        }
        let turn = ready!(coop::poll_proceed(cx));
        loop {
            let unfilled = into.initialize_unfilled();
            match self.shared.stream.try_read(unfilled) {
                Ok(count) => {
                    into.advance(count);
                    turn.made_progress();
                    return Poll::Ready(Ok(()));
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.shared.stream.poll_read_ready(cx))?;
                }
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.shared.len() >= BUFFER {
            ready!(self.shared.send(cx))?;
        }
        let mut gathered = self.shared.gathered.borrow_mut();
        let buffer = gathered.get_or_insert_with(Buffer::default);
        let mut taken = 0;
        for slice in slices {
            // No more than it has room for: one that grew could not be used again.
            let count = slice.len().min(BUFFER - buffer.len());
            buffer.put(&slice[..count]);
            taken += count;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: [`Flush`] does it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.shared.send(cx))?;
        crate::socket::shut(&self.shared.stream);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::tests::{pair, use_up_the_turn};
    use futures_util::FutureExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::yield_now,
    };

    #[tokio::test]
    async fn a_connection_that_has_read_much_gives_others_their_turn_although_there_is_more() {
        let (mut sender, receiver) = pair().await;
        sender.write_all(b"more").await.expect("it is open");
        receiver.readable().await.expect("it is open");
        let ((mut pipe, _flush), mut bytes) = (Pipe::new(receiver, None), [0; 8]);
        use_up_the_turn().await;
        assert!(pipe.read(&mut bytes).now_or_never().is_none());
        yield_now().await;
        assert_eq!(pipe.read(&mut bytes).now_or_never().expect("its turn").expect("it is open"), 4);
    }
}
