//! One WebSocket as a stream of bytes, with heartbeat and close codes.
//!
//! [`link`] gives three parts: the byte stream for HTTP/2, a [`Closer`], and the [`Pump`] that moves the bytes. The
//! caller runs the pump; when it returns, the byte stream is at its end. Both directions move on their own, so that a
//! peer which does not read stops only the sender, and every buffer is bounded.

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use lapdev_api::wire::HEARTBEAT_SECONDS;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;

/// The largest WebSocket message that we write; proxies and the peer's limit are above it.
const MAX_WRITE: usize = 32 << 10;
const MAX_MESSAGE: usize = 64 << 10;
/// How long a closing handshake may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);
/// The close code of an end without a special meaning.
pub const NORMAL: u16 = 1000;
/// What RFC 6455 calls a close frame without a code.
const NO_CODE: u16 = 1005;

/// The limits of a WebSocket that carries a tunnel.
#[must_use]
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(MAX_WRITE)
        .write_buffer_size(MAX_WRITE)
        .max_write_buffer_size(4 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// How often to ping, and how long a silent peer lives.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// Between two pings.
    pub every: Duration,
    /// Without a sign of the peer.
    pub dead_after: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let every = Duration::from_secs(HEARTBEAT_SECONDS);
        Self { every, dead_after: every * 3 }
    }
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The peer closed it.
    #[error("the other side closed the tunnel with code {code} ({reason})")]
    Peer {
        /// One of [`lapdev_api::wire::close`], or the WebSocket standard's.
        code: u16,
        /// In words.
        reason: String,
    },
    /// A [`Closer`] on this side, or the end of the byte stream.
    #[error("this side closed the tunnel")]
    Here,
    /// Nothing came for too long.
    #[error("the other side was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The connection broke.
    #[error("the tunnel's connection broke: {0}")]
    Broken(String),
}

/// Ends a link with a close code. Clones end the same link; the first call counts.
#[derive(Debug, Clone)]
pub struct Closer {
    frame: Arc<Mutex<Option<CloseFrame>>>,
    closing: CancellationToken,
}

impl Closer {
    fn new() -> Self {
        Self { frame: Arc::default(), closing: CancellationToken::new() }
    }

    /// Says goodbye with this code and ends the link.
    pub fn close(&self, code: u16, reason: impl Into<String>) {
        self.start(code, reason.into());
    }

    fn start(&self, code: u16, reason: String) -> bool {
        let mut frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        let first = frame.is_none();
        if first {
            *frame = Some(CloseFrame { code: code.into(), reason: reason.into() });
            self.closing.cancel();
        }
        first
    }

    /// Returns once the link is closing, from whichever side.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    async fn frame(&self) -> Option<CloseFrame> {
        self.closing.cancelled().await;
        self.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Moves the bytes of one link.
#[must_use = "nothing moves unless the pump runs"]
#[derive(Debug)]
pub struct Pump<S> {
    socket: WebSocketStream<S>,
    bytes: DuplexStream,
    closer: Closer,
    heartbeat: Heartbeat,
}

/// The byte stream over this WebSocket, its closer, and the pump to run.
pub fn link<S>(socket: WebSocketStream<S>, heartbeat: Heartbeat) -> (DuplexStream, Closer, Pump<S>) {
    let (near, bytes) = tokio::io::duplex(MAX_MESSAGE);
    let closer = Closer::new();
    (near, closer.clone(), Pump { socket, bytes, closer, heartbeat })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    /// Moves bytes until either side ends the link; says which.
    pub async fn run(self) -> Ended {
        let Self { socket, bytes, closer, heartbeat } = self;
        let (sink, stream) = socket.split();
        let (from_here, to_here) = tokio::io::split(bytes);
        let heard = Heard::default();
        tokio::select! {
            ended = receive(stream, to_here, &closer, &heard) => ended,
            ended = send(sink, from_here, &closer, heartbeat) => ended,
            ended = watch(&closer, heartbeat, &heard) => ended,
        }
    }
}

/// When the peer was last heard.
struct Heard(Mutex<Instant>);

impl Default for Heard {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a link whose peer is silent, or does not answer our close.
async fn watch(closer: &Closer, heartbeat: Heartbeat, heard: &Heard) -> Ended {
    let silence = async {
        loop {
            let deadline = heard.last() + heartbeat.dead_after;
            tokio::time::sleep_until(deadline).await;
            if heard.last() + heartbeat.dead_after <= Instant::now() {
                return Ended::Silent(heartbeat.dead_after);
            }
        }
    };
    let closed = async {
        closer.closing().await;
        tokio::time::sleep(CLOSE_PATIENCE).await;
        Ended::Here
    };
    tokio::select! { ended = silence => ended, ended = closed => ended }
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: SplitStream<WebSocketStream<S>>,
    mut to_here: WriteHalf<DuplexStream>,
    closer: &Closer,
    heard: &Heard,
) -> Ended {
    loop {
        match stream.next().await {
            Some(Ok(message)) => {
                heard.now();
                match message {
                    Message::Binary(data) => deliver(&mut to_here, &data, closer).await,
                    Message::Close(frame) => return answer_close(stream, frame, closer).await,
                    _ => {}
                }
            }
            None => return broken(closer, &"unexpected end"),
            Some(Err(error)) => return broken(closer, &error),
        }
    }
}

/// Reads on until our answer to the peer's close is out and it hung up.
async fn answer_close<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: SplitStream<WebSocketStream<S>>,
    frame: Option<CloseFrame>,
    closer: &Closer,
) -> Ended {
    let ours_came_first = !closer.start(NORMAL, String::new());
    let rest = async { while stream.next().await.is_some_and(|message| message.is_ok()) {} };
    // Less than `watch` waits, or the peer's code would be lost.
    let _ = tokio::time::timeout(CLOSE_PATIENCE / 2, rest).await;
    if ours_came_first {
        return Ended::Here;
    }
    let (code, reason) = frame.map_or((NO_CODE, String::new()), |f| (f.code.into(), f.reason.to_string()));
    Ended::Peer { code, reason }
}

/// Hands bytes on. Once the link closes they are dropped, so that the closing handshake is still read.
async fn deliver(to_here: &mut WriteHalf<DuplexStream>, data: &Bytes, closer: &Closer) {
    tokio::select! {
        // The near side hung up: `send` sees that as the end of its bytes, and closes.
        _ = to_here.write_all(data) => {}
        () = closer.closing() => {}
    }
}

fn broken(closer: &Closer, cause: &impl ToString) -> Ended {
    if closer.closing.is_cancelled() { Ended::Here } else { Ended::Broken(cause.to_string()) }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut from_here: ReadHalf<DuplexStream>,
    closer: &Closer,
    heartbeat: Heartbeat,
) -> Ended {
    let mut ticks = tokio::time::interval_at(Instant::now() + heartbeat.every, heartbeat.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut buffer = vec![0; MAX_WRITE];
    loop {
        let message = tokio::select! {
            frame = closer.frame() => Message::Close(frame),
            _ = ticks.tick() => Message::Ping(Bytes::new()),
            read = from_here.read(&mut buffer) => match read {
                Ok(length) if length > 0 => Message::Binary(Bytes::copy_from_slice(&buffer[..length])),
                _ => { closer.close(NORMAL, ""); continue }
            },
        };
        let last = message.is_close();
        if let Err(error) = sink.send(message).await {
            // After a close of the peer's its answer is tungstenite's own, and ours is refused: `receive` knows more.
            if closer.closing.is_cancelled() {
                std::future::pending::<()>().await;
            }
            return Ended::Broken(error.to_string());
        }
        if last {
            // What is left is the peer's answer, which `receive` reads.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Near = (DuplexStream, Closer, tokio::task::JoinHandle<Ended>);

    async fn end(socket: DuplexStream, role: Role) -> Near {
        let socket = WebSocketStream::from_raw_socket(socket, role, Some(websocket_config())).await;
        let (bytes, closer, pump) = link(socket, Heartbeat::default());
        (bytes, closer, tokio::spawn(pump.run()))
    }

    async fn pair() -> (Near, Near) {
        let (a, b) = tokio::io::duplex(8 << 10);
        (end(a, Role::Client).await, end(b, Role::Server).await)
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_both_ways_at_once() {
        let ((a, _ca, _pa), (b, _cb, _pb)) = pair().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let exchange = |io: DuplexStream| {
            let sent = sent.clone();
            async move {
                let (mut read, mut write) = tokio::io::split(io);
                let mut got = vec![0; sent.len()];
                let (wrote, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
                wrote.expect("written");
                read.expect("read");
                got
            }
        };
        let (one, two) = tokio::join!(exchange(a), exchange(b));
        assert!(one == sent && two == sent);
    }

    #[tokio::test]
    async fn a_close_code_reaches_the_peer_though_data_is_on_its_way() {
        let ((mut a, _ca, pa), (mut b, cb, pb)) = pair().await;
        // Nobody reads at `b`, so its buffers are full when it closes.
        let flood = tokio::spawn(async move { while a.write_all(&[0; 4096]).await.is_ok() {} });
        b.write_all(b"late").await.expect("open");
        cb.close(4003, "revoked");
        assert_eq!(pb.await.expect("ran"), Ended::Here);
        assert_eq!(pa.await.expect("ran"), Ended::Peer { code: 4003, reason: "revoked".to_owned() });
        flood.await.expect("ends with the link");
    }

    #[tokio::test]
    async fn hanging_up_the_bytes_closes_the_link() {
        let ((a, _ca, pa), (mut b, _cb, pb)) = pair().await;
        drop(a);
        assert_eq!(b.read(&mut [0; 8]).await.expect("a clean end"), 0);
        assert_eq!(pa.await.expect("ran"), Ended::Here);
        assert!(matches!(pb.await.expect("ran"), Ended::Peer { code: NORMAL, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_dead_after_three_heartbeats_and_a_pinging_one_is_not() {
        let ((_a, _ca, pa), (_b, _cb, pb)) = pair().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!pa.is_finished() && !pb.is_finished());
        let (socket, _silent) = tokio::io::duplex(64);
        let (_bytes, _closer, pump) = end(socket, Role::Client).await;
        let started = Instant::now();
        assert_eq!(pump.await.expect("ran"), Ended::Silent(Duration::from_secs(60)));
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_does_not_wait_for_ever_for_a_peer_that_does_not_answer() {
        let (socket, _silent) = tokio::io::duplex(64);
        let (_bytes, closer, pump) = end(socket, Role::Client).await;
        closer.close(1012, "restart");
        assert_eq!(pump.await.expect("ran"), Ended::Here);
    }
}
