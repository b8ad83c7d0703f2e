//! Connections to endpoints that wait for a request, newest first, so that those that are used stay warm and the others
//! run out. Of one worker.

use crate::{
    limits::{FRESH, IDLE_PER_ENDPOINT, IDLE_PER_WORKER, IDLE_UPSTREAM},
    socket,
    table::Endpoint,
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Instant,
};
use tokio::net::TcpStream;

#[derive(Debug)]
struct Waiting {
    stream: TcpStream,
    since: Instant,
}

#[derive(Debug)]
struct OfEndpoint {
    endpoint: Weak<Endpoint>,
    waiting: Vec<Waiting>,
}

/// The waiting connections by endpoint.
#[derive(Debug, Default)]
pub struct Idle {
    by_address: HashMap<SocketAddr, OfEndpoint>,
    count: usize,
}

impl Idle {
    /// Takes a connection that the endpoint has neither closed nor used. For a request that could not be sent again it is
    /// `repeatable` false: then only one that was used just now, and that the system itself says is open.
    pub fn take(&mut self, endpoint: &Endpoint, repeatable: bool) -> Option<TcpStream> {
        let at_most = if repeatable { IDLE_UPSTREAM } else { FRESH };
        let waiting = &mut self.by_address.get_mut(&endpoint.address)?.waiting;
        while let Some(Waiting { stream, since }) = waiting.pop() {
            if since.elapsed() >= at_most {
                // Older ones lie below it.
                waiting.push(Waiting { stream, since });
                return None;
            }
            self.count -= 1;
            if is_quiet(&stream) && (repeatable || is_open(&stream)) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there is room.
    pub fn put(&mut self, endpoint: &Arc<Endpoint>, stream: TcpStream) {
        if self.count >= IDLE_PER_WORKER {
            return;
        }
        let fresh = || OfEndpoint { endpoint: Arc::downgrade(endpoint), waiting: Vec::new() };
        let of = self.by_address.entry(endpoint.address).or_insert_with(fresh);
        if of.endpoint.as_ptr() != Arc::as_ptr(endpoint) {
            of.endpoint = Arc::downgrade(endpoint);
        }
        if of.waiting.len() < IDLE_PER_ENDPOINT {
            of.waiting.push(Waiting { stream, since: Instant::now() });
            self.count += 1;
        }
    }

    /// Drops those that have waited too long, whose endpoint closed them, or is gone from every table.
    pub fn sweep(&mut self) {
        let now = Instant::now();
        self.by_address.retain(|_, of| {
            let gone = of.endpoint.strong_count() == 0;
            of.waiting.retain(|one| !gone && now - one.since < IDLE_UPSTREAM && is_quiet(&one.stream));
            !of.waiting.is_empty()
        });
        self.count = self.by_address.values().map(|of| of.waiting.len()).sum();
    }
}

/// The same, asked of the system: what it was told may not have come to us yet.
fn is_open(stream: &TcpStream) -> bool {
    socket::peek(stream).is_err_and(|why| why.kind() == io::ErrorKind::WouldBlock)
}

/// Neither closed nor with bytes that nobody asked for. Costs a system call only if something happened.
fn is_quiet(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|why| why.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let address = listener.local_addr().expect("it is bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.expect("connects"), theirs.expect("accepts").0)
    }

    #[tokio::test]
    async fn a_connection_is_used_again_unless_its_endpoint_closed_or_used_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let endpoint = Arc::new(Endpoint::new(listener.local_addr().expect("it is bound")));
        let mut idle = Idle::default();
        for alive in [true, false, false] {
            let (ours, mut theirs) = pair(&listener).await;
            if !alive && idle.count == 1 {
                theirs.write_all(b"unasked").await.expect("it is open");
            }
            if !alive {
                let kept = idle.count;
                drop(theirs);
                ours.readable().await.expect("it was closed");
                idle.put(&endpoint, ours);
                assert_eq!(idle.count, kept + 1);
            } else {
                idle.put(&endpoint, ours);
                std::mem::forget(theirs);
            }
        }
        assert_eq!(idle.count, 3);
        idle.sweep();
        assert_eq!(idle.count, 1);
        assert!(idle.take(&endpoint, true).is_some());
        assert!(idle.take(&endpoint, true).is_none());
    }

    #[tokio::test]
    async fn connections_to_an_endpoint_that_is_gone_are_dropped_and_their_number_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let endpoint = Arc::new(Endpoint::new(listener.local_addr().expect("it is bound")));
        let (mut idle, mut theirs) = (Idle::default(), Vec::new());
        for _ in 0..=IDLE_PER_ENDPOINT {
            let (one, other) = pair(&listener).await;
            idle.put(&endpoint, one);
            theirs.push(other);
        }
        assert_eq!(idle.count, IDLE_PER_ENDPOINT);
        drop(endpoint);
        idle.sweep();
        assert_eq!((idle.count, idle.by_address.len()), (0, 0));
    }
}
