//! Reads a body within bounds: of its own size, of time, and of the memory that all bodies take together, since whoever
//! sends one is not known before it has been read.

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// How much is read at most.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Bytes of one body. GitHub sends at most 25 MiB.
    pub size: usize,
    /// For one body. GitHub gives up after ten seconds.
    pub time: Duration,
    /// One permit for each byte of all bodies that are being read.
    pub memory: Arc<Semaphore>,
}

impl Default for Bounds {
    fn default() -> Self {
        let size = 25 << 20;
        Self { size, time: Duration::from_secs(10), memory: Arc::new(Semaphore::new(4 * size)) }
    }
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than the bound.
    TooLarge,
    /// It took too long.
    TooSlow,
    /// The connection ended before it did, or its framing is wrong.
    CutOff,
    /// Other bodies take all the memory there is for them.
    NoMemory,
}

/// Reads a body. The memory is accounted for until the bytes are returned: parsing them is quick.
pub(crate) async fn read<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
    bounds: &Bounds,
) -> Result<Vec<u8>, Unread> {
    timeout(bounds.time, collect(body, bounds)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn collect<B: Buf, E>(body: impl Stream<Item = Result<B, E>>, bounds: &Bounds) -> Result<Vec<u8>, Unread> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    let mut reserved = None;
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| Unread::CutOff)?;
        if piece.remaining() > bounds.size - bytes.len() {
            return Err(Unread::TooLarge);
        }
        let length = u32::try_from(piece.remaining()).map_err(|_| Unread::TooLarge)?;
        let permit = bounds.memory.try_acquire_many(length).map_err(|_| Unread::NoMemory)?;
        match &mut reserved {
            None => reserved = Some(permit),
            Some(reserved) => reserved.merge(permit),
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            piece.advance(length);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::stream;
    use std::task::{Context, Waker};

    fn bounds(size: usize, memory: usize) -> Bounds {
        Bounds { size, time: Duration::from_secs(5), memory: Arc::new(Semaphore::new(memory)) }
    }

    fn pieces(lengths: &[usize]) -> impl Stream<Item = Result<Bytes, ()>> + use<> {
        let pieces: Vec<_> = lengths.iter().map(|length| Ok(Bytes::from(vec![b'x'; *length]))).collect();
        stream::iter(pieces)
    }

    #[tokio::test]
    async fn the_bound_counts_what_arrives() {
        let bounds = bounds(10, 100);
        assert_eq!(read(pieces(&[4, 0, 6]), &bounds).await, Ok(vec![b'x'; 10]));
        assert_eq!(read(pieces(&[4, 0, 7]), &bounds).await, Err(Unread::TooLarge));
        assert_eq!(read(pieces(&[]), &bounds).await, Ok(vec![]));
        assert_eq!(bounds.memory.available_permits(), 100, "all memory is given back");
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_give_back_what_they_took() {
        let bounds = bounds(10, 15);
        let endless = pieces(&[10]).chain(stream::pending());
        let mut first = pin!(read(endless, &bounds));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(read(pieces(&[6]), &bounds).await, Err(Unread::NoMemory));
        assert_eq!(read(pieces(&[5]), &bounds).await, Ok(vec![b'x'; 5]));
        assert_eq!(bounds.memory.available_permits(), 5);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up() {
        let bounds = Bounds { time: Duration::from_millis(20), ..bounds(10, 15) };
        let endless = read(pieces(&[3]).chain(stream::pending()), &bounds);
        assert_eq!(timeout(Duration::from_secs(5), endless).await.expect("given up"), Err(Unread::TooSlow));
        let cut = pieces(&[3]).chain(stream::iter([Err(())]));
        assert_eq!(read(cut, &bounds).await, Err(Unread::CutOff));
        assert_eq!(bounds.memory.available_permits(), 15);
    }
}
