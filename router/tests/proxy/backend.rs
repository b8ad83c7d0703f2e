//! Backends: one that answers each request with its name and what it got, and ones that a test plays itself.

use super::{ground::Ground, talk::Talk};
use h2::server::SendResponse;
use http::{Request, Response};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

/// Answers one HTTP/2 request.
type Answer = fn(&'static str, Request<h2::RecvStream>, SendResponse<bytes::Bytes>) -> Answering;
/// What it does.
pub type Answering = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A backend until it is dropped.
pub struct Backend {
    pub address: SocketAddr,
    /// Requests that it answered.
    pub requests: Arc<AtomicU32>,
    _task: JoinSet<()>,
}

impl Backend {
    /// Answers HTTP/1.1 requests without bodies by `<name>\n<the head>`, and keeps connections.
    pub async fn named(name: &'static str) -> Self {
        Self::named_at(Ipv4Addr::LOCALHOST.into(), name).await
    }

    /// The same, at another address.
    pub async fn named_at(at: IpAddr, name: &'static str) -> Self {
        Self::serving(at, move |mut stream, requests| async move {
            let mut head = Vec::new();
            while stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                    let got: Vec<u8> = head.drain(..end + 4).collect();
                    requests.fetch_add(1, Ordering::SeqCst);
                    let mut answer = format!(
                        "HTTP/1.1 200 OK\r\nX-Case: Kept\r\nContent-Length: {}\r\n\r\n{name}\n",
                        name.len() + 1 + got.len()
                    )
                    .into_bytes();
                    answer.extend(got);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// HTTP/2: each request by `answer`.
    pub async fn http2(answer: Answer, name: &'static str) -> Self {
        Self::http2_at(Ipv4Addr::LOCALHOST.into(), answer, name).await
    }

    /// The same, at another address.
    pub async fn http2_at(at: IpAddr, answer: Answer, name: &'static str) -> Self {
        Self::serving(at, move |stream, requests| async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            let mut streams = JoinSet::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                requests.fetch_add(1, Ordering::SeqCst);
                streams.spawn(answer(name, request, respond));
            }
        })
        .await
    }

    async fn serving<F>(at: IpAddr, serve: impl Fn(TcpStream, Arc<AtomicU32>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((at, 0)).await.expect("loopback");
        let (address, requests) = (listener.local_addr().expect("it is bound"), Arc::<AtomicU32>::default());
        let (mut task, count) = (JoinSet::new(), requests.clone());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("it is open");
                connections.spawn(serve(stream, count.clone()));
            }
        });
        Self { address, requests, _task: task }
    }
}

/// Answers with its name as a body; echoes what it got where that is a body.
pub fn named_h2(
    name: &'static str,
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
) -> Answering {
    Box::pin(async move {
        let got = request.headers().get("forwarded").map(|value| value.to_str().expect("text").to_owned());
        let response = Response::builder().header("x-got", got.unwrap_or_default()).body(()).expect("legal");
        let mut body = request.into_body();
        let mut send = respond.send_response(response, false).expect("it is wanted");
        send.send_data(name.into(), false).expect("it is wanted");
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).expect("it was received");
            send.send_data(data, false).expect("it is wanted");
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("legal"));
        let _ = send.send_trailers(trailers);
    })
}

/// A listener whose connections the test plays.
pub struct Played {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Played {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, address }
    }

    /// A client that has sent this, and the connection on which its head has come.
    pub async fn asked(&self, ground: &Ground, request: impl AsRef<[u8]>) -> (Talk, Talk) {
        let mut client = Talk::to(ground.web).await;
        client.send(request).await;
        let mut server = self.accept().await;
        server.until("\r\n\r\n").await;
        (client, server)
    }

    /// The next connection.
    pub async fn accept(&self) -> Talk {
        let accepted = tokio::time::timeout(super::ground::SOON, self.listener.accept()).await;
        let (stream, _) = accepted.expect("somebody connects").expect("it accepts");
        stream.set_nodelay(true).expect("it is open");
        Talk::of(stream)
    }
}

/// A router before a baseline that the test plays.
pub async fn played() -> (Ground, Played) {
    let (mut ground, backend) = (Ground::start().await, Played::new().await);
    ground.baseline(&[backend.address]);
    (ground, backend)
}

/// An address that refuses connections for as long as it is held.
pub fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("loopback");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}
