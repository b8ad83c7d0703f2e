//! Bodies of streams on their way, with the pace of who receives them: what a sender may send next is what the receiver has
//! taken.

use crate::limits::REPLAYED;
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::{cell::Cell, future::poll_fn, rc::Rc};

/// Why a body did not get through.
#[derive(Debug)]
pub enum Broken {
    /// Its sender gave up.
    Sender(Reason),
    /// Its receiver wants no more.
    Receiver,
}

/// A body that can be read once more from its beginning, as long as little of it was read.
#[derive(Debug)]
pub struct Source {
    from: RecvStream,
    kept: Vec<Bytes>,
    length: usize,
    at: usize,
    keep: Keep,
}

/// Whether a body is kept for being read again.
#[derive(Debug, Clone, Default)]
pub struct Keep(Rc<Cell<bool>>);

impl Keep {
    /// It is not read again.
    pub fn end(&self) {
        self.0.set(false);
    }
}

impl Source {
    /// The body that arrives on a stream. `keep`: whether it may have to be read again.
    pub fn new(from: RecvStream, keep: bool) -> Self {
        Self { from, kept: Vec::new(), length: 0, at: 0, keep: Keep(Rc::new(Cell::new(keep))) }
    }

    /// By which keeping is ended.
    pub fn keep(&self) -> Keep {
        self.keep.clone()
    }

    /// Begins anew, if that is still possible.
    pub fn rewind(&mut self) -> bool {
        self.at = 0;
        self.keep.0.get()
    }

    /// Whether all of it was read.
    pub fn is_over(&self) -> bool {
        self.at >= self.kept.len() && self.from.is_end_stream()
    }

    async fn next(&mut self) -> Option<Result<Bytes, h2::Error>> {
        if let Some(again) = self.kept.get(self.at) {
            self.at += 1;
            return Some(Ok(again.clone()));
        }
        let data = match self.from.data().await? {
            Ok(data) => data,
            Err(why) => return Some(Err(why)),
        };
        self.length += data.len();
        if self.length > REPLAYED {
            self.keep.end();
        }
        if self.keep.0.get() {
            self.kept.push(data.clone());
            self.at = self.kept.len();
        } else if !self.kept.is_empty() {
            self.kept.clear();
            self.at = 0;
        }
        Some(Ok(data))
    }

    /// The receiver has taken so much.
    fn taken(&mut self, count: usize) {
        // It fails only for more than was received; a replayed part was released the first time.
        let _ = self.from.flow_control().release_capacity(count);
    }
}

/// Sends all of a body, trailers too, and gives those back.
pub async fn pump(from: &mut Source, to: &mut SendStream<Bytes>) -> Result<Option<HeaderMap>, Broken> {
    loop {
        let data = tokio::select! {
            biased;
            data = from.next() => data,
            // Nothing may come for long, and nobody waits for it any more.
            _ = poll_fn(|cx| to.poll_reset(cx)) => return Err(Broken::Receiver),
        };
        let Some(data) = data else { break };
        let data = data.map_err(|why| Broken::Sender(why.reason().unwrap_or(Reason::CANCEL)))?;
        let (count, last) = (data.len(), from.is_over());
        send(to, data, last).await?;
        from.taken(count);
        if last {
            return Ok(None);
        }
    }
    let trailers = from.from.trailers().await;
    match trailers.map_err(|why| Broken::Sender(why.reason().unwrap_or(Reason::CANCEL)))? {
        Some(trailers) => {
            to.send_trailers(trailers.clone()).map_err(|_| Broken::Receiver)?;
            Ok(Some(trailers))
        }
        None => {
            to.send_data(Bytes::new(), true).map_err(|_| Broken::Receiver)?;
            Ok(None)
        }
    }
}

/// Sends a piece as fast as its receiver takes it.
async fn send(to: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Result<(), Broken> {
    to.reserve_capacity(data.len());
    while to.capacity() < data.len() {
        match poll_fn(|cx| to.poll_capacity(cx)).await {
            Some(Ok(0)) => {}
            Some(Ok(count)) if count < data.len() => {
                to.send_data(data.split_to(count), false).map_err(|_| Broken::Receiver)?;
                to.reserve_capacity(data.len());
            }
            Some(Ok(_)) => break,
            _ => return Err(Broken::Receiver),
        }
    }
    to.send_data(data, last).map_err(|_| Broken::Receiver)
}
