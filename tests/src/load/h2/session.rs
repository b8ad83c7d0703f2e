//! One HTTP/2 connection as a client sees it, without the socket: bytes in, events out, and bytes to send.

use crate::load::{
    fields::{self, Reader},
    frame::{self, Frame},
    h1::{LONGEST_VERSION, first_line},
    plan::{Plan, Protocol, VersionFrom},
    tally::{Answer, Begun},
};
use std::collections::HashMap;

/// What the peer may send us before we acknowledge any of it.
const WINDOW: u32 = 1 << 24;
/// An error code: the peer did not look at the request.
const REFUSED_STREAM: u32 = 7;
/// The prefix of a gRPC message: not compressed, and its length.
const GRPC_PREFIX: usize = 5;
/// The message of a gRPC request.
const GRPC_MESSAGE: [u8; 64] = [b'x'; 64];

/// What became of a request.
pub(super) enum Event {
    Answered(Begun, Answer),
    Failed(String),
    /// The peer says that it did not begin with it.
    NotTakenUp(Begun),
}

struct Stream {
    begun: Begun,
    answer: Answer,
    served_by: Vec<u8>,
    start: Vec<u8>,
}

pub(super) struct Session {
    /// Bytes to send.
    pub(super) out: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// Whether anything of an answer came.
    pub(super) answered: bool,
    /// Whether, when the next request became due, it could have been sent.
    pub(super) had_room: bool,
    /// For each kind, the frames of a request, with streams of number 0.
    requests: Vec<Vec<u8>>,
    grpc: bool,
    version_from: VersionFrom,
    streams: HashMap<u32, Stream>,
    next: u32,
    most: u32,
    /// How much we may send.
    window: i64,
    /// How much was received and not acknowledged.
    received: u32,
    reader: Reader,
    /// The start of a header block, with its stream and flags.
    partial: Option<(u32, u8, Vec<u8>)>,
    last_taken: Option<u32>,
}

impl Session {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut out = frame::PREFACE.to_vec();
        frame::put_opening(&mut out, WINDOW);
        Self {
            out,
            events: Vec::new(),
            had_room: true,
            requests: (0..plan.asks.len()).map(|kind| request(plan, kind)).collect(),
            grpc: plan.protocol == Protocol::Grpc,
            version_from: plan.version_from,
            streams: HashMap::new(),
            next: 1,
            most: u32::MAX,
            window: frame::FIRST_WINDOW,
            received: 0,
            reader: Reader::default(),
            partial: None,
            last_taken: None,
            answered: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    pub(super) fn under_way_count(&self) -> usize {
        self.streams.len()
    }

    /// What was sent and not answered; forgets it.
    pub(super) fn under_way(&mut self) -> Vec<Begun> {
        self.streams.drain().map(|(_, stream)| stream.begun).collect()
    }

    pub(super) fn is_going_away(&self) -> bool {
        self.last_taken.is_some()
    }

    /// Whether the peer allows another request.
    pub(super) fn has_room(&self) -> bool {
        let body = if self.grpc { (GRPC_PREFIX + GRPC_MESSAGE.len()) as i64 } else { 0 };
        self.last_taken.is_none() && (self.streams.len() as u32) < self.most && self.window >= body
    }

    pub(super) fn send(&mut self, begun: Begun) {
        let at = self.out.len();
        self.out.extend_from_slice(&self.requests[begun.kind]);
        let mut patched = at;
        while patched < self.out.len() {
            let length = u32::from_be_bytes([0, self.out[patched], self.out[patched + 1], self.out[patched + 2]]);
            self.out[patched + 5..patched + 9].copy_from_slice(&self.next.to_be_bytes());
            patched += 9 + length as usize;
        }
        if self.grpc {
            self.window -= (GRPC_PREFIX + GRPC_MESSAGE.len()) as i64;
        }
        let stream = Stream { begun, answer: Answer::default(), served_by: Vec::new(), start: Vec::new() };
        self.streams.insert(self.next, stream);
        self.next += 2;
    }

    /// Reads what came; how many bytes of it are done with.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut rest = bytes;
        while let Some(frame) = frame::cut(&mut rest)? {
            self.take(&frame)?;
        }
        if self.received > WINDOW / 2 {
            frame::put(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
        Ok(bytes.len() - rest.len())
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        const MAX_CONCURRENT_STREAMS: u16 = 3;
        match frame.kind {
            frame::HEADERS if frame.has(frame::END_HEADERS) => {
                self.headers(frame.stream, frame.flags, frame.content()?)?;
            }
            frame::HEADERS => self.partial = Some((frame.stream, frame.flags, frame.content()?.to_vec())),
            frame::CONTINUATION => self.more_headers(frame)?,
            frame::DATA => self.data(frame)?,
            frame::RST_STREAM => self.reset(frame.stream, frame.number(0)?),
            frame::WINDOW_UPDATE if frame.stream == 0 => self.window += i64::from(frame.number(0)?),
            frame::GOAWAY => self.going_away(frame.number(0)?, frame.number(4)?),
            frame::SETTINGS if !frame.has(frame::ACK) => {
                let most = frame.settings().find(|(name, _)| *name == MAX_CONCURRENT_STREAMS);
                self.most = most.map_or(self.most, |(_, most)| most);
                frame::answer(frame, &mut self.out);
            }
            _ => {
                frame::answer(frame, &mut self.out);
            }
        }
        Ok(())
    }

    fn more_headers(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let (stream, flags, mut block) = self.partial.take().ok_or("a continuation of nothing")?;
        block.extend_from_slice(frame.payload);
        if frame.has(frame::END_HEADERS) {
            return self.headers(stream, flags, &block);
        }
        self.partial = Some((stream, flags, block));
        Ok(())
    }

    fn headers(&mut self, id: u32, flags: u8, block: &[u8]) -> Result<(), String> {
        let meaning = self.reader.read(block)?;
        let stream = self.streams.get_mut(&id).ok_or("an answer that nobody asked for")?;
        self.answered = true;
        stream.answer.status = meaning.status.unwrap_or(stream.answer.status);
        stream.answer.grpc_status = meaning.grpc_status.or(stream.answer.grpc_status);
        if let Some(by) = &meaning.served_by {
            stream.served_by.clone_from(by);
        }
        if flags & frame::END_STREAM != 0 {
            self.end(id);
        }
        Ok(())
    }

    fn data(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        self.received += frame.payload.len() as u32;
        // What still comes of a stream that was reset counts for the connection's window alone.
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return Ok(()) };
        let room = (LONGEST_VERSION + GRPC_PREFIX).saturating_sub(stream.start.len());
        let content = frame.content()?;
        stream.start.extend_from_slice(&content[..content.len().min(room)]);
        if frame.has(frame::END_STREAM) {
            self.end(frame.stream);
        }
        Ok(())
    }

    fn end(&mut self, id: u32) {
        let Some(Stream { begun, mut answer, served_by, start }) = self.streams.remove(&id) else { return };
        let body = if self.grpc { start.get(GRPC_PREFIX..).unwrap_or_default() } else { &start };
        answer.version = match self.version_from {
            VersionFrom::Body => first_line(body).to_vec(),
            VersionFrom::Header => served_by,
        };
        self.events.push(match (self.grpc, answer.grpc_status) {
            (true, None) => Event::Failed(format!("{} without a gRPC status", answer.status)),
            _ => Event::Answered(begun, answer),
        });
    }

    fn reset(&mut self, id: u32, code: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.events.push(match code {
            REFUSED_STREAM => Event::NotTakenUp(stream.begun),
            code => Event::Failed(format!("stream reset with code {code}")),
        });
    }

    fn going_away(&mut self, last: u32, code: u32) {
        self.last_taken = Some(last);
        let not_taken: Vec<u32> = self.streams.keys().copied().filter(|id| *id > last).collect();
        for id in not_taken {
            let Some(stream) = self.streams.remove(&id) else { continue };
            self.events.push(match code {
                0 => Event::NotTakenUp(stream.begun),
                code => Event::Failed(format!("connection ended with code {code}")),
            });
        }
    }
}

fn request(plan: &Plan, kind: usize) -> Vec<u8> {
    const METHOD_GET: u8 = 2;
    const METHOD_POST: u8 = 3;
    const SCHEME_HTTP: u8 = 6;
    let grpc = plan.protocol == Protocol::Grpc;
    let mut block = Vec::new();
    fields::put_indexed(&mut block, if grpc { METHOD_POST } else { METHOD_GET });
    fields::put_indexed(&mut block, SCHEME_HTTP);
    fields::put(&mut block, ":authority", &plan.authority);
    fields::put(&mut block, ":path", &plan.path);
    if grpc {
        fields::put(&mut block, "content-type", "application/grpc");
        fields::put(&mut block, "te", "trailers");
    }
    fields::put(&mut block, "user-agent", "lapdev-load");
    for (name, value) in plan.asks[kind].headers() {
        fields::put(&mut block, name, &value);
    }
    let mut frames = Vec::new();
    let end = if grpc { 0 } else { frame::END_STREAM };
    frame::put(&mut frames, frame::HEADERS, frame::END_HEADERS | end, 0, &block);
    if grpc {
        let mut message = vec![0];
        message.extend_from_slice(&(GRPC_MESSAGE.len() as u32).to_be_bytes());
        message.extend_from_slice(&GRPC_MESSAGE);
        frame::put(&mut frames, frame::DATA, frame::END_STREAM, 0, &message);
    }
    frames
}
