//! Two connections joined into one: what comes in on either goes out on the other, untouched. For what is no HTTP, and for
//! what began as HTTP and is something else now.
//!
//! As without a router between: a side that ends its half ends only that half; a reset is a reset; who does not read makes
//! the other wait, since each direction holds at most one buffer. A silent pair holds none.

use crate::{buffer::Buffer, socket};
use std::io;
use tokio::net::TcpStream;

/// Joins a client and an endpoint until both have ended, or either broke. `early` are bytes of the client, `answered` of
/// the endpoint, that were read before. How many bytes went either way.
pub async fn join(client: TcpStream, endpoint: TcpStream, early: Buffer, answered: Option<Buffer>) -> u64 {
    let mut moved = (0, 0);
    let result = {
        let up = pump(&client, &endpoint, Some(early), &mut moved.0);
        let down = pump(&endpoint, &client, answered, &mut moved.1);
        tokio::try_join!(up, down)
    };
    if result.is_err() {
        socket::reset(client);
        socket::reset(endpoint);
    }
    moved.0 + moved.1
}

/// Moves what comes from one to the other until the one ends its half.
async fn pump(from: &TcpStream, to: &TcpStream, first: Option<Buffer>, moved: &mut u64) -> io::Result<()> {
    if let Some(first) = first {
        *moved += first.len() as u64;
        write(from, to, first.bytes()).await?;
    }
    let mut buffer = Buffer::default();
    while socket::fill(from, &mut buffer).await? > 0 {
        *moved += buffer.len() as u64;
        write(from, to, buffer.bytes()).await?;
        buffer.clear();
    }
    socket::shut(to);
    Ok(())
}

/// Waits for a receiver as long as the sender does.
async fn write(from: &TcpStream, to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => tokio::select! {
                ready = to.writable() => ready?,
                () = socket::broken(from) => return Err(io::ErrorKind::ConnectionReset.into()),
            },
            Err(why) => return Err(why),
        }
    }
    Ok(())
}
