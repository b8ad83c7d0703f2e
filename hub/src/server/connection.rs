//! One connection: TLS, then HTTP/1.1 or HTTP/2 as the client chose, within bounds.
//!
//! A client that does not speak is dropped at each step: in the TLS handshake, before its first request, and within a
//! request's headers.

use super::{stall::Stall, tls::Certificates};
use crate::dispatch::Dispatch;
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lapdev_tunnel::{body::Body, h2::Owned};
use rustix::net::sockopt;
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use crate::dispatch::Routes;

const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_TRIES: u32 = 3;
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const H2_STREAMS: u32 = 128;
const H2_WINDOW: u32 = 256 << 10;
const SEND_BUFFER: usize = 256 << 10;

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Context<S> {
    pub(super) dispatch: Dispatch<S>,
    /// Finish what is under way, take nothing new.
    pub(super) stopping: CancellationToken,
    /// Time is up.
    pub(super) drained: CancellationToken,
}

/// Serves one connection to its end.
pub(super) async fn serve<S: Routes>(
    stream: TcpStream,
    peer: SocketAddr,
    certificates: Option<&Certificates>,
    context: Context<S>,
) {
    if let Err(error) = tune(&stream) {
        return tracing::debug!(%peer, %error, "a connection ended before it began");
    }
    let stream = Stall::new(stream, context.dispatch.hub().settings.limits.stall_timeout);
    let Some(certificates) = certificates else { return http(stream, false, peer, context).await };
    let patience = context.dispatch.hub().settings.limits.header_timeout;
    let handshake = tokio::time::timeout(patience, certificates.acceptor().accept(stream));
    let accepted = tokio::select! { accepted = handshake => accepted, () = context.stopping.cancelled() => return };
    match accepted {
        Ok(Ok(stream)) => {
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            http(stream, h2, peer, context).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
    }
}

/// Latency matters more than full packets. And a client that vanished without a word, as a closed laptop does, must be
/// noticed though nobody says anything: a quiet WebSocket would hold its place in the tunnel for ever.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_TRIES)?;
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

async fn http<S: Routes, I>(io: I, h2: bool, peer: SocketAddr, context: Context<S>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let spoke = CancellationToken::new();
    let service = {
        let (dispatch, spoke) = (context.dispatch.clone(), spoke.clone());
        service_fn(move |request: Request<Incoming>| {
            spoke.cancel();
            let dispatch = dispatch.clone();
            async move { Ok::<Response<Body>, Infallible>(dispatch.answer(peer, request).await) }
        })
    };
    let limits = context.dispatch.hub().settings.limits;
    let Context { stopping, drained, .. } = context;
    let bounds = Bounds { stopping, drained, spoke, patience: limits.header_timeout };
    if h2 {
        let tasks = TaskTracker::new();
        let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(Owned(tasks.clone()))
            .timer(TokioTimer::new())
            .max_header_list_size(header_bytes)
            .max_concurrent_streams(H2_STREAMS)
            .initial_stream_window_size(H2_WINDOW)
            .initial_connection_window_size(H2_WINDOW * 8)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(H2_PING_EVERY)
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(io), service);
        bounds.drive(connection, http2::Connection::graceful_shutdown).await;
        tasks.close();
        tasks.wait().await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(16 << 10))
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        bounds.drive(connection, http1::UpgradeableConnection::graceful_shutdown).await;
    }
}

/// What may end a connection besides its client.
struct Bounds {
    stopping: CancellationToken,
    drained: CancellationToken,
    spoke: CancellationToken,
    patience: Duration,
}

impl Bounds {
    async fn drive<C>(self, connection: C, graceful: fn(std::pin::Pin<&mut C>))
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = pin!(connection);
        let silent = async {
            tokio::time::sleep(self.patience).await;
            if self.spoke.is_cancelled() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = connection.as_mut() => return ended(outcome),
            () = silent => return,
            () = self.stopping.cancelled() => {}
        }
        graceful(connection.as_mut());
        tokio::select! {
            outcome = connection => ended(outcome),
            () = self.drained.cancelled() => {}
        }
    }
}

fn ended(outcome: Result<(), hyper::Error>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_asks_a_quiet_client_whether_it_is_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let (near, _far) =
            tokio::join!(TcpStream::connect(listener.local_addr().expect("an address")), listener.accept());
        let near = near.expect("connected");
        tune(&near).expect("tuned");
        assert!(sockopt::socket_keepalive(&near).expect("said"));
        assert_eq!(sockopt::tcp_keepidle(&near).expect("said"), KEEPALIVE_AFTER);
    }
}
