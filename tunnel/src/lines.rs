//! JSON lines in a body: the control stream's framing.

use crate::body::BoxError;
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use lapdev_api::wire::MAX_LINE;
use serde::{Serialize, de::DeserializeOwned};

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The connection ended in the middle.
    #[error("the control stream broke")]
    Broken(#[source] BoxError),
    /// More than [`MAX_LINE`] bytes without an end of line.
    #[error("a line of the control stream is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not a message that this version knows.
    #[error("a line of the control stream is not a message of this protocol")]
    Malformed(#[source] serde_json::Error),
}

/// One message as a line.
///
/// # Panics
/// If the message has a map whose keys are no strings; no wire message has.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let mut line = serde_json::to_vec(message).expect("wire messages have string keys only");
    line.push(b'\n');
    line.into()
}

/// Reads a body line by line.
#[derive(Debug)]
pub struct Lines<B> {
    body: B,
    buffer: BytesMut,
    /// Bytes at the front that are known to hold no end of line.
    searched: usize,
}

impl<B> Lines<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Reads from this body.
    pub fn new(body: B) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next message; none at the body's end. Safe to cancel.
    ///
    /// # Errors
    /// When the body breaks, a line is too long or no message.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        loop {
            if let Some(line) = self.take_line() {
                return serde_json::from_slice(&line).map(Some).map_err(LineError::Malformed);
            }
            if self.buffer.len() > MAX_LINE {
                return Err(LineError::TooLong);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(LineError::Broken(error.into())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<BytesMut> {
        let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at);
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::channel;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let (sender, receiver) = mpsc::channel(16);
        for piece in ["{\"a\"", ":1}\n{\"b\":2}\n{", "}\n"] {
            sender.send(Bytes::from(piece)).await.expect("open");
        }
        drop(sender);
        let mut lines = Lines::new(channel(receiver));
        let mut got = vec![];
        while let Some(value) = lines.next::<Value>().await.expect("lines") {
            got.push(value);
        }
        assert_eq!(got, [json!({"a": 1}), json!({"b": 2}), json!({})]);
    }

    #[tokio::test]
    async fn an_endless_line_is_refused() {
        let (sender, receiver) = mpsc::channel(8);
        let mut lines = Lines::new(channel(receiver));
        let feed = tokio::spawn(async move { while sender.send(Bytes::from(vec![b'x'; 1 << 20])).await.is_ok() {} });
        assert!(matches!(lines.next::<Value>().await, Err(LineError::TooLong)));
        drop(lines);
        feed.await.expect("ends with the reader");
    }
}
