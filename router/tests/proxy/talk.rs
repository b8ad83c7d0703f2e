//! A client that writes what it is told to the byte, and reads HTTP/1 answers.

use super::ground::SOON;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub struct Talk {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A field's value; the field stands once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("it is text")
    }

    pub fn served_by(&self) -> &str {
        self.field("x-lapdev-served-by").unwrap_or_else(|| panic!("nobody: {self:?}"))
    }
}

/// A GET with these further lines.
pub fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: web\r\n{lines}\r\n")
}

/// A GET with a key.
pub fn get_of(key: &str) -> String {
    get(&format!("tracestate: lapdev={key}\r\n"))
}

impl Talk {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it accepts");
        stream.set_nodelay(true).expect("it is open");
        Self { stream, buffer: Vec::new() }
    }

    pub fn of(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("it is taken");
    }

    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// Reads more; whether there was any.
    pub async fn more(&mut self) -> bool {
        let read = timeout(SOON, self.stream.read_buf(&mut self.buffer)).await.expect("something happens");
        read.expect("it is not reset") > 0
    }

    /// Takes a request without a body, and answers it with this one. Its head.
    pub async fn answer_with(&mut self, body: &str) -> String {
        let head = self.until("\r\n\r\n").await;
        self.ok(body).await;
        head
    }

    /// Answers a request whose head was taken before.
    pub async fn ok(&mut self, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    /// The next `count` bytes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more().await, "it ended after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        self.buffer.drain(..count).collect()
    }

    /// Up to and with `end`.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let bytes = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8(bytes).expect("it is text");
            }
            assert!(self.more().await, "it ended after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    pub async fn head(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        Answer { status, head, body: Vec::new() }
    }

    /// An answer with its body, by its length or chunks, or until the end.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().expect("a number");
            answer.body = self.bytes(length).await;
        } else if answer.field("transfer-encoding").is_some() {
            loop {
                let size = self.until("\r\n").await;
                let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
                if size == 0 {
                    answer.head += &self.until("\r\n").await;
                    break;
                }
                answer.body.extend(self.bytes(size).await);
                assert_eq!(self.bytes(2).await, b"\r\n");
            }
        } else if !matches!(answer.status, 100..200 | 204 | 304) {
            answer.body = self.rest().await;
        }
        answer
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    /// The error by which it ends.
    pub async fn broken(&mut self) -> std::io::ErrorKind {
        loop {
            match timeout(SOON, self.stream.read_buf(&mut self.buffer)).await.expect("something happens") {
                Ok(0) => panic!("it ended as if all were well"),
                Ok(_) => {}
                Err(why) => return why.kind(),
            }
        }
    }
}
