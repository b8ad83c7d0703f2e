//! Passes connections from a listener (usually on this machine's loopback) to an address inside a network namespace: a
//! person's browser or a test's client reaches what lives there, and no address of the host is involved.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::namespace::Namespace;

/// How long a connection inside the namespace may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A running hand-over; it ends, with its connections, when dropped. Has a thread and runtime of its own, so that it
/// outlives the runtime of the test that started it.
#[derive(Debug)]
pub struct HandOver {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HandOver {
    /// Begins to pass connections from `listener` to `to` inside `namespace`.
    pub fn start(listener: TcpListener, namespace: Namespace, to: SocketAddr) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("hand-over".to_owned()).spawn(move || {
            // A listener that the runtime refuses would have been refused above; then there is nothing to serve.
            runtime.block_on(async move {
                tokio::select! {
                    _ = serve(listener, namespace, to) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was already printed by its own thread.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, namespace: Namespace, to: SocketAddr) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Dropped with this future, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        let namespace = namespace.clone();
        connections.spawn(async move {
            // A caller sees a failed connection as one that closes at once, as with any proxy.
            let _ = pass(stream, namespace, to).await;
        });
    }
}

async fn pass(mut outer: tokio::net::TcpStream, namespace: Namespace, to: SocketAddr) -> io::Result<()> {
    let inner = tokio::task::spawn_blocking(move || namespace.connect(to, CONNECT_LIMIT)).await??;
    inner.set_nonblocking(true)?;
    let mut inner = tokio::net::TcpStream::from_std(inner)?;
    outer.set_nodelay(true)?;
    inner.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut outer, &mut inner).await?;
    Ok(())
}
