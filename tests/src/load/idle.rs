//! Connections that are open and do nothing.

use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Opens so many connections. Each has asked once over HTTP/1.1 and begun to be answered, so that the peer knows what it is;
/// from then on it is idle for as long as it is held.
///
/// # Errors
/// When one cannot be opened or is not answered.
pub async fn hold(target: SocketAddr, connections: usize) -> io::Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        held.push(tokio::time::timeout(LIMIT, used(target)).await??);
    }
    Ok(held)
}

async fn used(target: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: idle\r\n\r\n").await?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if &start == b"HTTP/1.1 200" {
        Ok(stream)
    } else {
        Err(io::Error::other("an idle connection was not answered 200"))
    }
}
