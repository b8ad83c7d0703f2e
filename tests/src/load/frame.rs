//! HTTP/2's frames (RFC 9113): cuts a stream of bytes into them, and writes those that client and backend send.

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
const HEAD: usize = 9;
/// The largest payload that a peer may send, since we do not announce more.
const LARGEST: usize = 16_384;
/// The flow-control window that every connection begins with.
pub(super) const FIRST_WINDOW: i64 = 65_535;

/// A frame as it lies in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// Cuts the first frame off; none when there is no whole one yet.
pub(super) fn cut<'a>(bytes: &mut &'a [u8]) -> Result<Option<Frame<'a>>, String> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    if length > LARGEST {
        return Err(format!("a frame of {length} bytes: is this HTTP/2?"));
    }
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    *bytes = rest;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
}

impl<'a> Frame<'a> {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Of DATA or HEADERS: without padding and priority.
    pub(super) fn content(&self) -> Result<&'a [u8], String> {
        let mut content = self.payload;
        if self.has(PADDED) {
            let (padding, rest) = content.split_first().ok_or("an empty padded frame")?;
            let length = rest.len().checked_sub(usize::from(*padding)).ok_or("more padding than frame")?;
            content = &rest[..length];
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            content = content.get(5..).ok_or("a priority that is cut short")?;
        }
        Ok(content)
    }

    /// The payload's number at a place.
    pub(super) fn number(&self, at: usize) -> Result<u32, String> {
        let bytes = self.payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or_else(|| format!("a frame of kind {} is cut short", self.kind))
    }

    /// Of SETTINGS: the pairs.
    pub(super) fn settings(&self) -> impl Iterator<Item = (u16, u32)> {
        let pair =
            |six: &[u8]| (u16::from_be_bytes([six[0], six[1]]), u32::from_be_bytes([six[2], six[3], six[4], six[5]]));
        self.payload.chunks_exact(6).map(pair)
    }
}

pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// What both sides say first: no header table, no push, these many bytes may come on each stream and on the connection.
pub(super) fn put_opening(out: &mut Vec<u8>, window: u32) {
    const HEADER_TABLE_SIZE: u16 = 1;
    const ENABLE_PUSH: u16 = 2;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let settings = [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)];
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value): &(u16, u32)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    put(out, SETTINGS, 0, 0, &payload);
    put(out, WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
}

/// Answers what concerns the connection alone and is alike on both sides; whether it did.
pub(super) fn answer(frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
    match frame.kind {
        SETTINGS if !frame.has(ACK) => put(out, SETTINGS, ACK, 0, &[]),
        PING if !frame.has(ACK) => put(out, PING, ACK, 0, frame.payload),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end_and_no_earlier() {
        let mut bytes = Vec::new();
        put(&mut bytes, DATA, END_STREAM, 7, b"abc");
        put(&mut bytes, PING, 0, 0, &[0; 8]);
        let mut rest = bytes.as_slice();
        let first = cut(&mut rest).expect("legal").expect("whole");
        assert_eq!((first.stream, first.payload, first.has(END_STREAM)), (7, b"abc".as_slice(), true));
        let mut early = &rest[..rest.len() - 1];
        assert_eq!(cut(&mut early), Ok(None));
        assert!(cut(&mut b"HTTP/1.1 400 Bad".as_slice()).is_err());
    }

    #[test]
    fn padding_and_priority_are_no_content() {
        let payload = [2, 0, 0, 0, 0, 9, b'x', 0, 0];
        let frame = Frame { kind: HEADERS, flags: PADDED | PRIORITY, stream: 1, payload: &payload };
        assert_eq!(frame.content(), Ok(b"x".as_slice()));
    }
}
