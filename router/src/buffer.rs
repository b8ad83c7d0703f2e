//! Buffers for bytes under way. A worker keeps some for the next use; an idle connection has none, so that ten thousand of
//! them cost little.

use crate::limits::{BUFFER, BUFFERS_KEPT};
use std::{cell::RefCell, mem};

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were received, or wait to be sent. It takes no memory until there are some; then it is [`BUFFER`] long until it
/// must hold more.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Filled to its length, so that a socket can be read into the part beyond `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Buffer {
    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Forgets the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Gives its memory back if it holds nothing: before a wait that may be long.
    pub fn rest(&mut self) {
        if self.is_empty() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        self.clear();
        if bytes.len() == BUFFER {
            // A thread that ends needs no buffers.
            let _ = KEPT.try_with(|kept| {
                let mut kept = kept.borrow_mut();
                if kept.len() < BUFFERS_KEPT {
                    kept.push(bytes);
                }
            });
        }
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Where received bytes go; at least one byte long.
    pub fn space(&mut self) -> &mut [u8] {
        self.room(1);
        &mut self.bytes[self.end..]
    }

    /// So many bytes were received into [`Self::space`].
    pub fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    fn room(&mut self, wanted: usize) {
        if self.bytes.is_empty() {
            self.bytes = KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BUFFER]);
        }
        if self.bytes.len() - self.end >= wanted {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() - self.end < wanted {
            let long = (self.end + wanted).max(self.bytes.len() * 2);
            self.bytes.resize(long, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_however_many() {
        let mut buffer = Buffer::default();
        buffer.put(&[1; BUFFER]);
        buffer.consume(BUFFER - 1);
        buffer.put(&[2; BUFFER - 1]);
        assert_eq!((buffer.len(), buffer.bytes()[0], buffer.bytes()[1]), (BUFFER, 1, 2));
        assert_eq!(buffer.bytes.len(), BUFFER, "what was consumed made room");
        buffer.put(&[3; 10]);
        assert_eq!((buffer.len(), buffer.bytes()[BUFFER]), (BUFFER + 10, 3));
        buffer.consume(usize::MAX / 2);
        assert!(buffer.is_empty());
        buffer.space()[0] = 7;
        buffer.received(1);
        assert_eq!(buffer.bytes(), [7]);
    }

    #[test]
    fn a_buffer_is_used_again_but_not_one_that_grew() {
        let kept = || KEPT.with_borrow(Vec::len);
        let mut buffer = Buffer::default();
        assert_eq!((buffer.bytes.len(), kept()), (0, 0), "it holds nothing, and takes nothing");
        buffer.put(b"x");
        buffer.rest();
        assert_eq!((buffer.bytes(), kept()), (&b"x"[..], 0), "it holds something");
        buffer.consume(1);
        buffer.rest();
        assert_eq!((buffer.bytes.len(), kept()), (0, 1));
        buffer.put(b"y");
        assert_eq!((buffer.bytes(), kept()), (&b"y"[..], 0));
        buffer.put(&vec![0; 2 * BUFFER]);
        drop(buffer);
        assert_eq!(kept(), 0);
    }
}
