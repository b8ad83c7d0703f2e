//! One request as libgit2 sees it: it writes what it asks, then reads the answer until its end.

use super::{HttpError, exchange::Exchange};
use http_body_util::BodyExt as _;
use hyper::body::{Buf as _, Bytes, Incoming};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};

/// What one step of a negotiation may ask. A wanted ref takes some 50 bytes of it.
const MAX_REQUEST: usize = 32 << 20;
/// libgit2 keeps a listing in memory, several times its size, and several fetches run at once; a million refs fit into
/// it. How large a pack may be is the fetch's to say.
const MAX_LISTING: u64 = 64 << 20;

pub(super) struct Stream {
    exchange: Arc<Exchange>,
    state: State,
    /// What came and was not read yet.
    rest: Bytes,
    came: u64,
    limit: u64,
}

enum State {
    Listing(String),
    Asking(Vec<u8>),
    Answer(Incoming),
    Failed,
}

impl Stream {
    pub fn listing(exchange: &Arc<Exchange>, address: &str) -> Self {
        Self::new(exchange, State::Listing(address.to_owned()), MAX_LISTING)
    }

    pub fn pack(exchange: &Arc<Exchange>) -> Self {
        Self::new(exchange, State::Asking(Vec::new()), u64::MAX)
    }

    fn new(exchange: &Arc<Exchange>, state: State, limit: u64) -> Self {
        Self { exchange: Arc::clone(exchange), state, rest: Bytes::new(), came: 0, limit }
    }

    fn answer(&mut self) -> Result<&mut Incoming, HttpError> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Listing(address) => State::Answer(self.exchange.listing(&address)?),
            State::Asking(body) => State::Answer(self.exchange.pack(&body.into())?),
            state => state,
        };
        match &mut self.state {
            State::Answer(answer) => Ok(answer),
            _ => Err(HttpError::Over),
        }
    }

    /// Takes the next bytes of the answer, none at its end.
    fn fill(&mut self) -> Result<(), HttpError> {
        let exchange = Arc::clone(&self.exchange);
        while self.rest.is_empty() {
            let Some(frame) = exchange.wait(self.answer()?.frame())? else {
                break;
            };
            // What is no data is a trailer, which git knows nothing of.
            self.rest = frame.map_err(HttpError::of_answer)?.into_data().unwrap_or_default();
            self.came += self.rest.len() as u64;
            if self.came > self.limit {
                return Err(HttpError::Listing(self.limit));
            }
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill().map_err(|error| self.exchange.session().fail(error))?;
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Asking(body) if body.len() + bytes.len() <= MAX_REQUEST => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            State::Asking(_) => Err(self.exchange.session().fail(HttpError::Request(MAX_REQUEST))),
            _ => Err(io::Error::other("the request has been sent")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
