//! What every connection does with its socket. Reads and writes are tried before they are waited for, and a wait for the
//! other side is bounded wherever it holds memory. Each read is one of the few that a task has until it is another one's turn
//! (tokio's budget, which tried reads would not know of): who always has more to send holds no worker.

use crate::{
    buffer::Buffer,
    limits::{BODY_TIME, CONNECT, LINGER},
};
use rustix::net::{RecvFlags, sockopt};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::Interest,
    net::TcpStream,
    task::coop,
    time::{Instant, timeout, timeout_at},
};

/// A peer that is silent for so long is asked whether it still lives, so often, so many times.
const PROBED_AFTER: Duration = Duration::from_secs(30);
const PROBED_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// What is read at most of a request that nobody wants, before the connection ends.
const LINGER_BYTES: usize = 1024 * 1024;

/// Sets what a new socket needs: small writes go out at once, and a dead peer is noticed.
///
/// # Errors
/// If the socket is broken already.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBED_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBED_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    Ok(())
}

/// Connects to an endpoint.
///
/// # Errors
/// If it does not accept within [`CONNECT`].
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    prepare(&stream)?;
    Ok(stream)
}

/// Reads what there is, and waits until there is something, without memory for it if the buffer is empty. 0: the peer will
/// send no more.
///
/// # Errors
/// If the connection broke.
pub async fn fill(stream: &TcpStream, buffer: &mut Buffer) -> io::Result<usize> {
    coop::consume_budget().await;
    loop {
        match read(stream, buffer) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                buffer.rest();
                stream.readable().await?;
            }
            done => return done,
        }
    }
}

/// The same, until `deadline`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`]; or if the connection broke.
pub async fn fill_until(stream: &TcpStream, buffer: &mut Buffer, deadline: Instant) -> io::Result<usize> {
    coop::consume_budget().await;
    match read(stream, buffer) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
            timeout_at(deadline, fill(stream, buffer)).await.map_err(|_| io::ErrorKind::TimedOut)?
        }
        done => done,
    }
}

/// Reads what there is. After less than there was room for nothing is left, so the socket counts as not readable any more,
/// as it does with tokio's own reads, but not with `try_read`: else the next wait for it would end at once.
fn read(stream: &TcpStream, buffer: &mut Buffer) -> io::Result<usize> {
    let (space, mut short) = (buffer.space(), None);
    let tried = stream.try_io(Interest::READABLE, || {
        let (count, _) = rustix::net::recv(stream, &mut *space, RecvFlags::empty())?;
        if count > 0 && count < space.len() {
            short = Some(count);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    });
    let count = short.map_or(tried, Ok)?;
    buffer.received(count);
    Ok(count)
}

/// Writes all of it, as long as the peer takes some every [`BODY_TIME`].
///
/// # Errors
/// If the connection broke or stands still; and how much was written before.
pub async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Result<(), (io::Error, usize)> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                let ready = timeout(BODY_TIME, stream.writable()).await.map_err(|_| io::ErrorKind::TimedOut.into());
                ready.and_then(|ready| ready).map_err(|why| (why, all - bytes.len()))?;
            }
            Err(why) => return Err((why, all - bytes.len())),
        }
    }
    Ok(())
}

/// How a peer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It will send no more; whether it still reads is not known.
    Ended,
    /// It reset the connection, or that broke.
    Broken,
}

/// Ends when the peer goes. `or_ended`: also when it only will not send any more, whatever it sent before that nobody has
/// read yet.
pub async fn gone(stream: &TcpStream, or_ended: bool) -> Gone {
    // Of PRIORITY only the peer's end is ever seen, since nobody asks the system for urgent data; with READABLE it would be
    // every byte.
    let interest = if or_ended { Interest::ERROR | Interest::PRIORITY } else { Interest::ERROR };
    match stream.ready(interest).await {
        Ok(ready) if !ready.is_error() => Gone::Ended,
        // An error of the wait itself is the same.
        _ => Gone::Broken,
    }
}

/// Ends when the peer reset the connection, or it broke; not when the peer only will not send any more.
pub async fn broken(stream: &TcpStream) {
    gone(stream, false).await;
}

/// Asks the system how many of at most one byte can be read, and leaves it there. 0: the peer will send no more.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if it may send more and has not; or if the connection broke.
pub fn peek(stream: &TcpStream) -> io::Result<usize> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    Ok(rustix::net::recv(stream, &mut [0], flags)?.1)
}

/// Says that nothing more is sent, whatever becomes of it.
pub fn shut(stream: &TcpStream) {
    let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Write);
}

/// Ends a connection so that the peer sees a reset, as it would have without a router between.
pub fn reset(stream: TcpStream) {
    // Where it cannot be set the connection is broken anyhow.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Ends a connection whose peer may still be sending: says so, and reads on for a moment, since an answer is lost to the
/// reset that unread bytes cause.
pub async fn linger(stream: TcpStream) {
    shut(&stream);
    let drain = async {
        let (mut buffer, mut seen) = (Buffer::default(), 0);
        while seen < LINGER_BYTES {
            match fill(&stream, &mut buffer).await {
                Ok(count) if count > 0 => seen += count,
                _ => break,
            }
            buffer.clear();
        }
    };
    // Time is up: so be it.
    let _ = timeout(LINGER, drain).await;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::{
        io::AsyncWriteExt,
        net::TcpListener,
        task::{consume_budget, yield_now},
    };

    /// Both ends of a connection.
    pub(crate) async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        (one.expect("it connects"), other.expect("it accepts").0)
    }

    /// Uses up what this task has until it is another one's turn.
    pub(crate) async fn use_up_the_turn() {
        while coop::has_budget_remaining() {
            consume_budget().await;
        }
    }

    #[tokio::test]
    async fn who_has_read_much_gives_others_their_turn_although_there_is_more() {
        let ((mut sender, receiver), mut buffer) = (pair().await, Buffer::default());
        sender.write_all(b"more").await.expect("it is open");
        receiver.readable().await.expect("it is open");
        use_up_the_turn().await;
        let later = Instant::now() + CONNECT;
        assert!(fill(&receiver, &mut buffer).now_or_never().is_none());
        assert!(fill_until(&receiver, &mut buffer, later).now_or_never().is_none());
        yield_now().await;
        assert_eq!(fill(&receiver, &mut buffer).now_or_never().expect("its turn").expect("it is open"), 4);
    }
}
