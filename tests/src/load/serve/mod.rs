//! The backend: answers every request at once with its name and padding, over HTTP/1.1, h2 with prior knowledge or gRPC,
//! whichever a connection begins with. It does as little as a correct server can.

mod h1;
mod h2;

use super::frame::PREFACE;
use std::{io, rc::Rc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinSet, LocalSet},
};

/// Answers on `listener` with bodies of `size` bytes that begin with `name` as their first line. Never returns but by an
/// error of accepting. Runs on the thread that polls it.
///
/// # Errors
/// When no connection can be accepted any more.
pub async fn serve(listener: TcpListener, name: &str, size: usize) -> io::Result<()> {
    let mut body = format!("{name}\n").into_bytes();
    body.resize(size.max(body.len()), b'x');
    let body: Rc<[u8]> = body.into();
    LocalSet::new().run_until(accept(listener, body)).await
}

async fn accept(listener: TcpListener, body: Rc<[u8]>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        let body = Rc::clone(&body);
        connections.spawn_local(async move {
            // Whoever speaks wrongly, or goes, loses the connection; the client counts it.
            let _ = connection(stream, &body).await;
        });
    }
}

/// A protocol's side of one connection: bytes in, bytes to send.
trait Speak {
    /// Reads what came, adds answers to `out`, and says how many bytes are done with.
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, String>;
}

async fn connection(mut stream: TcpStream, body: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
    while buffer.len() < PREFACE.len() && PREFACE.starts_with(&buffer) {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
    if buffer.starts_with(PREFACE) {
        buffer.drain(..PREFACE.len());
        let mut out = Vec::new();
        let speaker = h2::Speaker::open(body, &mut out);
        return speak(stream, buffer, out, speaker).await;
    }
    speak(stream, buffer, Vec::new(), h1::Speaker::new(body)).await
}

async fn speak(
    mut stream: TcpStream,
    mut buffer: Vec<u8>,
    mut out: Vec<u8>,
    mut speaker: impl Speak,
) -> io::Result<()> {
    loop {
        let used = speaker.receive(&buffer, &mut out).map_err(io::Error::other)?;
        buffer.drain(..used);
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}
