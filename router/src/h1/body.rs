//! The body of an HTTP/1 message, piece by piece as it arrives, in the framing in which it goes on. Pure.
//!
//! Chunks are read strictly and written anew: sizes are 1 to 15 hexadecimal digits, lines end with CR LF, extensions are
//! dropped. Trailer fields pass, but for those that frame or route.

use super::{
    framing::Body,
    head::{BadHead, Kind, field},
};
use crate::{
    buffer::Buffer,
    limits::{BUFFER, CHUNK_LINE, TRAILER_BYTES},
};

const LONGEST_SIZE: usize = 15;

/// Reads one body.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// Whether it goes on in chunks, as it came; else its bytes alone.
    chunks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
}

/// A body that is not what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// A chunk is not valid.
    #[error("the request's body has a chunk that is not valid")]
    Chunk,
    /// The trailer fields are not valid, or too long.
    #[error("the request's trailer fields are not valid, or longer than {TRAILER_BYTES} bytes")]
    Trailers,
}

impl Reader {
    /// Reads a body of this framing. `chunks`: whether the receiver understands chunks.
    #[must_use]
    pub fn new(body: Body, chunks: bool) -> Self {
        let state = match body {
            Body::None | Body::Length(0) => State::Done,
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Size,
            Body::UntilClose => State::UntilClose,
        };
        Self { state, chunks }
    }

    /// Whether all of it was read.
    #[must_use]
    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Its sender closed: whether that is its end, or it is cut short.
    #[must_use]
    pub fn ends_with_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// How many of the next `available` bytes go on just as they are; none where they have to be read first.
    #[must_use]
    pub fn plain(&self, available: usize) -> usize {
        match self.state {
            State::Length(left) => usize::try_from(left).map_or(available, |left| left.min(available)),
            State::UntilClose => available,
            _ => 0,
        }
    }

    /// So many bytes of [`Self::plain`] went on.
    pub fn passed(&mut self, count: usize) {
        if let State::Length(left) = &mut self.state {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// Moves what is there from `input` to `out`, until that is about full.
    ///
    /// # Errors
    /// [`BadBody`]; then nothing more may be read of either.
    pub fn read(&mut self, input: &mut Buffer, out: &mut Buffer) -> Result<(), BadBody> {
        while out.len() < BUFFER && !self.done() && self.step(input, out)? {}
        Ok(())
    }

    /// Whether there was enough for a step.
    fn step(&mut self, input: &mut Buffer, out: &mut Buffer) -> Result<bool, BadBody> {
        match self.state {
            State::Done => Ok(false),
            State::Length(_) | State::UntilClose => {
                let count = self.plain(input.len());
                out.put(&input.bytes()[..count]);
                input.consume(count);
                self.passed(count);
                Ok(count > 0)
            }
            State::Size => self.size(input),
            State::Data(left) => Ok(self.data(left, input, out)),
            State::DataEnd => match input.bytes() {
                [b'\r', b'\n', ..] => {
                    input.consume(2);
                    self.state = State::Size;
                    Ok(true)
                }
                [] | [b'\r'] => Ok(false),
                _ => Err(BadBody::Chunk),
            },
            State::Trailers(seen) => self.trailers(seen, input, out),
        }
    }

    fn size(&mut self, input: &mut Buffer) -> Result<bool, BadBody> {
        let bytes = input.bytes();
        let Some(lf) = bytes.iter().take(CHUNK_LINE).position(|byte| *byte == b'\n') else {
            let hopeless = bytes.len() >= CHUNK_LINE || !bytes.first().is_none_or(u8::is_ascii_hexdigit);
            return if hopeless { Err(BadBody::Chunk) } else { Ok(false) };
        };
        let line = bytes[..lf].strip_suffix(b"\r").ok_or(BadBody::Chunk)?;
        let size = chunk_size(line).ok_or(BadBody::Chunk)?;
        input.consume(lf + 1);
        self.state = if size > 0 { State::Data(size) } else { State::Trailers(0) };
        Ok(true)
    }

    fn data(&mut self, left: u64, input: &mut Buffer, out: &mut Buffer) -> bool {
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        if count == 0 {
            return false;
        }
        if self.chunks {
            out.put(format!("{count:x}\r\n").as_bytes());
        }
        out.put(&input.bytes()[..count]);
        if self.chunks {
            out.put(b"\r\n");
        }
        input.consume(count);
        self.state = if left == count as u64 { State::DataEnd } else { State::Data(left - count as u64) };
        true
    }

    fn trailers(&mut self, seen: usize, input: &mut Buffer, out: &mut Buffer) -> Result<bool, BadBody> {
        let bytes = input.bytes();
        let Some(lf) = bytes.iter().position(|byte| *byte == b'\n') else {
            return if seen + bytes.len() > TRAILER_BYTES { Err(BadBody::Trailers) } else { Ok(false) };
        };
        if seen + lf >= TRAILER_BYTES {
            return Err(BadBody::Trailers);
        }
        if self.chunks && seen == 0 {
            out.put(b"0\r\n");
        }
        let line = &bytes[..=lf];
        match field(line, 0).map_err(|_: BadHead| BadBody::Trailers)? {
            (None, _) => self.state = State::Done,
            (Some(field), _) => {
                self.state = State::Trailers(seen + line.len());
                if self.chunks && field.kind == Kind::Plain {
                    out.put(line);
                }
            }
        }
        if self.chunks && self.done() {
            out.put(b"\r\n");
        }
        input.consume(lf + 1);
        Ok(true)
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let blank = extension.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let legal = match extension.get(blank) {
        None => blank == 0,
        Some(b';') => extension.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
        Some(_) => false,
    };
    if !legal || digits == 0 || digits > LONGEST_SIZE {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `bytes` if they arrive `by` at a time, and what is left over.
    fn read(bytes: &[u8], by: usize, chunks: bool) -> Result<(String, String, bool), BadBody> {
        let (mut reader, mut input, mut out) =
            (Reader::new(Body::Chunked, chunks), Buffer::default(), Buffer::default());
        for piece in bytes.chunks(by) {
            input.put(piece);
            reader.read(&mut input, &mut out)?;
        }
        let text = |buffer: &Buffer| String::from_utf8_lossy(buffer.bytes()).into_owned();
        Ok((text(&out), text(&input), reader.done()))
    }

    #[test]
    fn chunks_pass_however_they_arrive() {
        let body = b"5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\nnext";
        for by in [1, 2, 3, 7, 100] {
            let (bytes, rest, done) = read(body, by, false).expect("it is legal");
            assert!(done);
            assert_eq!((&*bytes, &*rest), ("hello0123456789", "next"), "by {by}");
        }
        let (chunks, _, _) = read(body, 100, true).expect("it is legal");
        assert_eq!(chunks, "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n", "extensions are dropped");
    }

    #[test]
    fn trailer_fields_pass_but_none_that_frames_or_routes() {
        let body = b"0\r\nx-sum: 1\r\nContent-Length: 5\r\nhost: evil\r\ntracestate: lapdev=x\r\n\r\n";
        for by in [1, 9, 100] {
            let (chunks, rest, done) = read(body, by, true).expect("it is legal");
            assert_eq!((&*chunks, &*rest, done), ("0\r\nx-sum: 1\r\n\r\n", "", true), "by {by}");
        }
    }

    #[test]
    fn a_chunk_that_two_could_read_differently_is_refused() {
        for bad in [
            &b"5\nhello\n0\n\n"[..],
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5 x\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"\r\n",
            b"g\r\n",
            b"10000000000000000\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nbare: lf\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            &[b'1'; CHUNK_LINE],
        ] {
            for by in [1, 100, 1000] {
                assert!(read(bad, by, true).is_err(), "{:?} by {by}", String::from_utf8_lossy(bad));
            }
        }
        let long = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILER_BYTES / 6 + 1));
        assert_eq!(read(long.as_bytes(), 100, true), Err(BadBody::Trailers));
        assert_eq!(
            read(format!("0\r\na: {}", "b".repeat(TRAILER_BYTES)).as_bytes(), 100, true),
            Err(BadBody::Trailers)
        );
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut reader = Reader::new(Body::Length(5), true);
        let (mut input, mut out) = (Buffer::default(), Buffer::default());
        input.put(b"hel");
        reader.read(&mut input, &mut out).expect("a length cannot be wrong");
        assert!(!reader.done() && !reader.ends_with_close());
        input.put(b"lonext");
        reader.read(&mut input, &mut out).expect("a length cannot be wrong");
        assert_eq!((reader.done(), out.bytes(), input.bytes()), (true, &b"hello"[..], &b"next"[..]));
        assert!(Reader::new(Body::Length(0), true).done());
        assert!(Reader::new(Body::UntilClose, true).ends_with_close());
    }
}
