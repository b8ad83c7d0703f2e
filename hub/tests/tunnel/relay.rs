//! A wire that can be cut: passes TCP bytes on, up to a number of them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub struct Relay {
    pub address: SocketAddr,
    /// Connections that were passed on.
    pub connections: Arc<AtomicUsize>,
    /// How many more bytes pass from the target; then the connection is cut, and the budget is without limit.
    budget: Arc<AtomicU64>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (connections, budget) = (Arc::<AtomicUsize>::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let (count, left) = (connections.clone(), budget.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let left = left.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        pass(near, far, &left).await;
                    }
                });
            }
        });
        Self { address, connections, budget }
    }

    pub fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

async fn pass(near: TcpStream, far: TcpStream, left: &AtomicU64) {
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) = (near.into_split(), far.into_split());
    let up = async { tokio::io::copy(&mut near_read, &mut far_write).await.map(|_| ()) };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = far_read.read(&mut buffer).await?;
            if read == 0 {
                return Ok::<(), std::io::Error>(());
            }
            let before = left.load(Ordering::SeqCst);
            if before != u64::MAX {
                if before < read as u64 {
                    left.store(u64::MAX, Ordering::SeqCst);
                    return Ok(());
                }
                left.fetch_sub(read as u64, Ordering::SeqCst);
            }
            near_write.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! { _ = up => {}, _ = down => {} }
}
