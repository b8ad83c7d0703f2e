//! A wire that can be cut, or held up: passes TCP bytes on, up to a number of them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub struct Relay {
    pub address: SocketAddr,
    /// Connections that were passed on.
    pub connections: Arc<AtomicUsize>,
    /// How many more bytes pass from the target; then the connection is cut, and the budget is without limit.
    budget: Arc<AtomicU64>,
    /// While true, bytes from the target are kept; then they pass all at once.
    holds: watch::Sender<bool>,
    /// How many bytes came from the target, kept ones included.
    pub came: Arc<AtomicU64>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (connections, budget) = (Arc::<AtomicUsize>::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let (holds, came) = (watch::Sender::new(false), Arc::<AtomicU64>::default());
        let wire = Wire { left: budget.clone(), holds: holds.subscribe(), came: came.clone() };
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let wire = wire.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        wire.pass(near, far).await;
                    }
                });
            }
        });
        Self { address, connections, budget, holds, came }
    }

    pub fn hold(&self, hold: bool) {
        self.holds.send_replace(hold);
    }

    pub fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Wire {
    left: Arc<AtomicU64>,
    holds: watch::Receiver<bool>,
    came: Arc<AtomicU64>,
}

impl Wire {
    async fn pass(self, near: TcpStream, far: TcpStream) {
        let ((mut near_read, near_write), (far_read, mut far_write)) = (near.into_split(), far.into_split());
        let up = async { tokio::io::copy(&mut near_read, &mut far_write).await.map(|_| ()) };
        tokio::select! { _ = up => {}, _ = self.down(far_read, near_write) => {} }
    }

    async fn down(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let (mut buffer, mut kept) = (vec![0; 16 << 10], Vec::new());
        loop {
            let released = async { self.holds.wait_for(|holds| !*holds).await.is_ok() };
            let read = tokio::select! {
                biased;
                _ = released, if !kept.is_empty() => None,
                read = from.read(&mut buffer) => Some(read?),
            };
            let Some(read) = read else {
                to.write_all(&std::mem::take(&mut kept)).await?;
                continue;
            };
            if read == 0 || !self.affords(read as u64) {
                return Ok(());
            }
            kept.extend_from_slice(&buffer[..read]);
            self.came.fetch_add(read as u64, Ordering::SeqCst);
        }
    }

    fn affords(&self, bytes: u64) -> bool {
        let before = self.left.load(Ordering::SeqCst);
        if before == u64::MAX {
            return true;
        }
        let left = before.checked_sub(bytes);
        self.left.store(left.unwrap_or(u64::MAX), Ordering::SeqCst);
        left.is_some()
    }
}
