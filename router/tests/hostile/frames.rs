//! HTTP/2 frames, written as they are: a library would not send hostile ones.

use super::ground::SOON;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field, spelt out.
pub fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![0];
    integer(&mut field, name.len());
    field.extend(name.as_bytes());
    integer(&mut field, value.len());
    field.extend(value);
    field
}

fn integer(out: &mut Vec<u8>, mut number: usize) {
    if number < 127 {
        return out.push(u8::try_from(number).expect("it is small"));
    }
    out.push(127);
    number -= 127;
    while number >= 128 {
        out.push(u8::try_from(number % 128).expect("it is small") | 128);
        number /= 128;
    }
    out.push(u8::try_from(number).expect("it is small"));
}

/// The fields of `GET <path>`.
pub fn get(path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86];
    fields.extend(literal(":path", path.as_bytes()));
    fields.extend(literal(":authority", b"web"));
    fields
}

/// A client's connection.
pub struct Frames {
    pub stream: TcpStream,
}

/// How a connection ended, or that it did not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By GOAWAY with this code.
    GoAway(u32),
    /// Closed or reset.
    Closed,
    /// Not within the time.
    Open,
}

impl Frames {
    /// After both sides' preface. `settings` is the payload of ours.
    pub async fn to(address: SocketAddr, settings: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it accepts");
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        first.extend(frame(SETTINGS, 0, 0, settings));
        stream.write_all(&first).await.expect("it is taken");
        let mut frames = Self { stream };
        let (kind, ..) = frames.next().await.expect("settings come first");
        assert_eq!(kind, SETTINGS);
        frames.stream.write_all(&frame(SETTINGS, 1, 0, &[])).await.expect("it is taken");
        frames
    }

    /// Whether all of it was taken: not if the connection ended, or if nothing was for two seconds.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout(Duration::from_secs(2), self.stream.write(&bytes[sent..])).await {
                Ok(Ok(count)) => sent += count,
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        true
    }

    /// Kind, flags, stream and payload of the next frame; none if the connection ended.
    pub async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// Reads frames until this one of this stream.
    pub async fn until(&mut self, kind: u8, stream: u32) -> Vec<u8> {
        let found = async {
            loop {
                let (of, _, on, payload) = self.next().await.expect("it goes on");
                if of == kind && on == stream {
                    return payload;
                }
            }
        };
        timeout(SOON, found).await.expect("it comes")
    }

    /// Reads on until the connection ends, for so long.
    pub async fn end(&mut self, within: Duration) -> End {
        let end = async {
            while let Some((kind, _, _, payload)) = self.next().await {
                if kind == GOAWAY {
                    return End::GoAway(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
                }
            }
            End::Closed
        };
        timeout(within, end).await.unwrap_or(End::Open)
    }
}
