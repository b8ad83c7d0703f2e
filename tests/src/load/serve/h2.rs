//! The backend's h2 and gRPC. A request without a body is answered as h2 is, one with a body as a unary gRPC call is; what
//! its headers say is not looked at.

use super::Speak;
use crate::load::{
    fields,
    frame::{self, Frame},
};
use std::collections::VecDeque;

const WINDOW: u32 = 1 << 24;
const STATUS_200: u8 = 8;

pub(super) struct Speaker {
    plain: Answer,
    grpc: Answer,
    /// How much we may send on the connection.
    window: i64,
    /// What may be sent on a new stream.
    stream_window: i64,
    /// Answers that the connection's window does not allow yet: stream, and whether it is a call.
    waiting: VecDeque<(u32, bool)>,
    received: u32,
}

/// Payloads of an answer's frames.
struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
    trailers: Option<Vec<u8>>,
}

impl Speaker {
    /// Writes what a server says first.
    pub(super) fn open(body: &[u8], out: &mut Vec<u8>) -> Self {
        frame::put_opening(out, WINDOW);
        let mut message = vec![0];
        message.extend_from_slice(&(body.len() as u32).to_be_bytes());
        message.extend_from_slice(body);
        let mut trailers = Vec::new();
        fields::put(&mut trailers, "grpc-status", "0");
        let length = body.len().to_string();
        let plain = head(&[("content-type", "application/octet-stream"), ("content-length", &length)]);
        Self {
            plain: Answer { head: plain, body: body.to_vec(), trailers: None },
            grpc: Answer {
                head: head(&[("content-type", "application/grpc")]),
                body: message,
                trailers: Some(trailers),
            },
            window: frame::FIRST_WINDOW,
            stream_window: frame::FIRST_WINDOW,
            waiting: VecDeque::new(),
            received: 0,
        }
    }

    fn take(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        const INITIAL_WINDOW_SIZE: u16 = 4;
        match frame.kind {
            frame::HEADERS if frame.has(frame::END_STREAM) => self.waiting.push_back((frame.stream, false)),
            frame::DATA => {
                self.received += frame.payload.len() as u32;
                if frame.has(frame::END_STREAM) {
                    self.waiting.push_back((frame.stream, true));
                }
            }
            frame::WINDOW_UPDATE if frame.stream == 0 => self.window += i64::from(frame.number(0)?),
            frame::SETTINGS if !frame.has(frame::ACK) => {
                for (_, size) in frame.settings().filter(|(name, _)| *name == INITIAL_WINDOW_SIZE) {
                    self.stream_window = i64::from(size);
                }
                frame::answer(frame, out);
            }
            _ => {
                frame::answer(frame, out);
            }
        }
        Ok(())
    }

    fn answer_waiting(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        while let Some((stream, grpc)) = self.waiting.front().copied() {
            let answer = if grpc { &self.grpc } else { &self.plain };
            let size = answer.body.len() as i64;
            if size > self.stream_window {
                return Err(format!("the peer takes only {} bytes on a stream", self.stream_window));
            }
            if size > self.window {
                return Ok(());
            }
            self.window -= size;
            self.waiting.pop_front();
            frame::put(out, frame::HEADERS, frame::END_HEADERS, stream, &answer.head);
            let end = if answer.trailers.is_some() { 0 } else { frame::END_STREAM };
            frame::put(out, frame::DATA, end, stream, &answer.body);
            if let Some(trailers) = &answer.trailers {
                frame::put(out, frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, trailers);
            }
        }
        Ok(())
    }
}

fn head(named: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    fields::put_indexed(&mut block, STATUS_200);
    for (name, value) in named {
        fields::put(&mut block, name, value);
    }
    block
}

impl Speak for Speaker {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        let mut rest = bytes;
        while let Some(frame) = frame::cut(&mut rest)? {
            self.take(&frame, out)?;
        }
        if self.received > WINDOW / 2 {
            frame::put(out, frame::WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
        self.answer_waiting(out)?;
        Ok(bytes.len() - rest.len())
    }
}
