//! An HTTP/1 request as the router reads it. What it lets pass, another strict reader (httparse) must read the same; and
//! a body in chunks means the same however it arrives, and after the router wrote it anew.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../src/buffer.rs"]
mod buffer;
#[allow(dead_code)]
#[path = "../../src/limits.rs"]
mod limits;
#[allow(dead_code)]
#[path = "../../src/h1"]
mod h1 {
    pub mod body;
    pub mod framing;
    pub mod head;
    pub mod rewrite;
}

use buffer::Buffer;
use h1::{
    body::Reader,
    framing::{Answer, Body, Request},
    head,
    rewrite::{self, Ending},
};
use std::net::{IpAddr, Ipv4Addr};

fuzz_target!(|bytes: &[u8]| {
    let Some(end) = head::end(bytes, 0) else {
        // It may end anywhere later: no part of it may be taken for a whole.
        return chunks(bytes);
    };
    let (first, rest) = bytes.split_at(end);
    // The same place, however the bytes arrived.
    assert_eq!(head::end(bytes, end.saturating_sub(3)), Some(end));
    request(first);
    answer(first);
    chunks(rest);
});

fn request(bytes: &[u8]) {
    let Ok(read) = head::request(bytes) else { return };
    let mut fields = [httparse::EMPTY_HEADER; limits::FIELDS];
    let mut other = httparse::Request::new(&mut fields);
    let parsed = other.parse(bytes);
    // httparse wants UTF-8 in targets; any byte above is passed on as it is.
    if !read.target.of(bytes).is_ascii() {
        return;
    }
    assert_eq!(parsed, Ok(httparse::Status::Complete(bytes.len())), "{}", String::from_utf8_lossy(bytes));
    assert_eq!(other.method.map(str::as_bytes), Some(read.method.of(bytes)));
    assert_eq!(other.path.map(str::as_bytes), Some(read.target.of(bytes)));
    let ours: Vec<_> = read.fields.all().iter().map(|field| (field.name.of(bytes), field.value.of(bytes))).collect();
    let theirs: Vec<_> = other.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
    assert_eq!(ours, theirs);
    let Ok(is) = Request::of(&read, bytes) else { return };
    let mut out = Buffer::default();
    rewrite::request(&mut out, &read, bytes, &is, &IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    // What goes on is one request with the same end, to the router and to the other reader; it has two fields more at
    // most, and perhaps two that say what the connection is for.
    let out = out.bytes();
    if out.len() > limits::HEAD_BYTES || read.fields.all().len() + 4 > limits::FIELDS {
        return;
    }
    assert_eq!(head::end(out, 0), Some(out.len()));
    let again = head::request(out).expect("what goes on is legal");
    let as_passed = Request::of(&again, out).expect("and its length is beyond doubt");
    assert_eq!((as_passed.body, as_passed.head, as_passed.connect), (is.body, is.head, is.connect));
    assert_eq!(again.fields.of(head::Kind::Host).count(), read.fields.of(head::Kind::Host).count());
    assert!(again.fields.of(head::Kind::ContentLength).count() + again.fields.of(head::Kind::TransferEncoding).count() <= 1);
}

fn answer(bytes: &[u8]) {
    let Ok(read) = head::answer(bytes) else { return };
    let mut fields = [httparse::EMPTY_HEADER; limits::FIELDS];
    let mut other = httparse::Response::new(&mut fields);
    let parsed = other.parse(bytes);
    let reason = read.rest.of(bytes);
    // A reason in other bytes than ASCII is for people; httparse is stricter there.
    if reason.is_ascii() {
        assert_eq!(parsed, Ok(httparse::Status::Complete(bytes.len())), "{}", String::from_utf8_lossy(bytes));
        assert_eq!((other.code, other.headers.len()), (Some(read.status), read.fields.all().len()));
    }
    let asked = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let asked = Request::of(&head::request(asked).expect("legal"), asked).expect("legal");
    let Ok(is) = Answer::of(&read, bytes, &asked) else { return };
    let mut out = Buffer::default();
    let ending = Ending { close: is.close, switching: false, unchunked: false, served_by: Some("baseline") };
    rewrite::answer(&mut out, &read, bytes, &is, ending);
    let out = out.bytes();
    if out.len() > limits::HEAD_BYTES || read.fields.all().len() + 2 > limits::FIELDS {
        return;
    }
    assert_eq!(head::end(out, 0), Some(out.len()));
    let again = head::answer(out).expect("what goes on is legal");
    let as_passed = Answer::of(&again, out, &asked).expect("and its length is beyond doubt");
    assert_eq!((as_passed.body, again.status), (is.body, read.status));
}

/// What is read of a body in chunks that arrives `by` bytes at a time: bytes, what is left over, whether it ended.
fn read(bytes: &[u8], by: usize, chunks: bool) -> Option<(Vec<u8>, usize, bool)> {
    let (mut reader, mut input, mut out) = (Reader::new(Body::Chunked, chunks), Buffer::default(), Buffer::default());
    let mut all = Vec::new();
    for piece in bytes.chunks(by.max(1)) {
        input.put(piece);
        reader.read(&mut input, &mut out).ok()?;
        // What was read goes on before more is read.
        all.extend_from_slice(out.bytes());
        out.clear();
    }
    let left = input.len();
    Some((all, left, reader.done()))
}

fn chunks(bytes: &[u8]) {
    // Longer ones are read in several rounds, which is the caller's part.
    let bytes = &bytes[..bytes.len().min(limits::BUFFER / 2)];
    let whole = read(bytes, usize::MAX, false);
    for by in [1, 2, 7] {
        let pieces = read(bytes, by, false);
        match (&whole, &pieces) {
            // Broken bytes may be noticed when they come; then it is broken either way.
            (None, None) => {}
            (Some(whole), Some(pieces)) => {
                assert_eq!((&whole.0, whole.2), (&pieces.0, pieces.2), "by {by}");
                assert!(!whole.2 || whole.1 == pieces.1, "what follows is not touched");
            }
            _ => panic!("{whole:?} at once, {pieces:?} by {by}"),
        }
    }
    let Some((content, left, true)) = whole else { return };
    let (anew, left_anew, done) = read(bytes, usize::MAX, true).expect("it was legal");
    assert!(done && left_anew == left);
    assert_eq!(read(&anew, usize::MAX, false), Some((content, 0, true)), "written anew it says the same");
}
