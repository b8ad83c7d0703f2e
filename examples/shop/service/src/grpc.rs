//! gRPC as far as the shop needs it: messages behind a prefix of five bytes, the status in trailers. The messages are JSON,
//! which gRPC allows (`application/grpc+json`), so that no generated code is needed.

use crate::answer::Body;
use bytes::{Buf, BufMut, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Response,
    body::{Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The content type of requests and answers.
pub const KIND: &str = "application/grpc+json";
/// Status: fine.
pub const OK: u8 = 0;
/// Status: a message is too large.
const RESOURCE_EXHAUSTED: u8 = 8;
/// Status: there is no such method.
pub const UNIMPLEMENTED: u8 = 12;
/// Status: the service failed.
pub const INTERNAL: u8 = 13;

const PREFIX: usize = 5;
const LARGEST: usize = 1 << 20;

/// Whether a content type is one of gRPC's.
pub fn is_kind(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"application/grpc")
}

/// A message as it travels.
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("messages here are small"));
    frame.put_slice(message);
    frame.freeze()
}

/// Trailers with a status.
pub fn status(status: u8) -> HeaderMap {
    HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("grpc-status"),
        HeaderValue::from(u16::from(status)),
    )])
}

/// An answer whose body ends with its status.
pub fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    response
}

/// An answer without a message.
pub fn failed(with: u8) -> Response<Body> {
    let mut response = response(Empty::new().map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().extend(status(with));
    response
}

/// The one message of an answer whose status is fine; the status may be in the head, when there is nothing else.
pub fn message<'a>(head: &HeaderMap, trailers: &HeaderMap, body: &'a [u8]) -> Result<&'a [u8], String> {
    let text = |name| trailers.get(name).or(head.get(name)).and_then(|value: &HeaderValue| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => body.get(PREFIX..).ok_or_else(|| "an answer without a message".to_owned()),
        Some(status) => Err(format!("grpc-status {status}: {}", text("grpc-message").unwrap_or_default())),
        None => Err("an answer without grpc-status".to_owned()),
    }
}

/// Takes the first whole message out of what was read so far; `Err` is the status for one that is too large.
fn take_message(read: &mut BytesMut) -> Result<Option<Bytes>, u8> {
    let Some(mut prefix) = read.get(1..PREFIX) else { return Ok(None) };
    let length = prefix.get_u32() as usize;
    if length > LARGEST {
        return Err(RESOURCE_EXHAUSTED);
    }
    if read.len() < PREFIX + length {
        return Ok(None);
    }
    read.advance(PREFIX);
    Ok(Some(read.split_to(length).freeze()))
}

/// The body of a stream's answer: one message for each that is heard, as soon as it is heard.
pub struct Chat<F> {
    heard: Incoming,
    read: BytesMut,
    answer: F,
    status: Option<u8>,
    done: bool,
}

impl<F: Fn(&str) -> String> Chat<F> {
    /// Answers each message of `heard`.
    pub fn new(heard: Incoming, answer: F) -> Self {
        Self { heard, read: BytesMut::new(), answer, status: None, done: false }
    }

    /// What can be said without hearing more.
    fn next(&mut self) -> Option<Frame<Bytes>> {
        match take_message(&mut self.read) {
            Ok(Some(message)) => {
                let answer = (self.answer)(&String::from_utf8_lossy(&message));
                return Some(Frame::data(frame(answer.as_bytes())));
            }
            Ok(None) => {}
            Err(too_large) => self.status = Some(too_large),
        }
        let status_now = self.status?;
        self.done = true;
        Some(Frame::trailers(status(status_now)))
    }
}

impl<F: Fn(&str) -> String + Unpin> hyper::body::Body for Chat<F> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        loop {
            if let Some(frame) = self.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(Pin::new(&mut self.heard).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().into_iter().for_each(|data| self.read.extend_from_slice(&data)),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.status = Some(OK),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_all_of_it_is_there_and_what_follows_stays() {
        let wire = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let (mut read, mut taken) = (BytesMut::new(), Vec::new());
        for byte in wire {
            read.put_u8(byte);
            taken.extend(take_message(&mut read).expect("it is small"));
        }
        assert_eq!(taken, ["one", "", "three"]);
        assert!(read.is_empty());
    }

    #[test]
    fn a_message_that_says_it_is_larger_than_allowed_is_refused_before_it_comes() {
        let mut read = BytesMut::from(&[0, 0x7f, 0xff, 0xff, 0xff][..]);
        assert_eq!(take_message(&mut read), Err(RESOURCE_EXHAUSTED));
    }

    #[test]
    fn an_answer_is_its_message_only_if_its_status_is_fine_wherever_that_stands() {
        let (none, fine) = (HeaderMap::new(), status(OK));
        assert_eq!(message(&none, &fine, &frame(b"x")), Ok(&b"x"[..]));
        assert_eq!(message(&status(14), &none, &[]), Err("grpc-status 14: ".to_owned()));
        assert!(message(&none, &none, &frame(b"x")).is_err(), "the stream broke off before its trailers");
        assert!(message(&none, &fine, &[]).is_err());
    }
}
