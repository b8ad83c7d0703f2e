//! Bodies of streams on their way, with the pace of who receives them: what a sender may send next is what the receiver has
//! taken.

use super::window::Part;
use crate::limits::{BODY_TIME, REPLAYED};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    rc::Rc,
};
use tokio::time::timeout;

/// Why a body did not get through.
#[derive(Debug)]
pub enum Broken {
    /// Its sender gave up.
    Sender(Reason),
    /// Its receiver wants no more.
    Receiver,
    /// Its receiver took nothing for [`BODY_TIME`].
    Still,
}

/// A body that can be read once more from its beginning, as long as little of it was read.
#[derive(Debug)]
pub struct Source {
    from: RecvStream,
    kept: Vec<Bytes>,
    length: usize,
    at: usize,
    keep: Keep,
    /// Until all of it was sent.
    part: Option<Part>,
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
    /// The body of a request, which may have to be read again, and its part in the window of its client's connection.
    pub fn of_request(from: RecvStream, part: Part) -> Self {
        Self { part: Some(part), keep: Keep(Rc::new(Cell::new(true))), ..Self::of_answer(from) }
    }

    /// The body of an answer.
    pub fn of_answer(from: RecvStream) -> Self {
        Self { from, kept: Vec::new(), length: 0, at: 0, keep: Keep::default(), part: None }
    }

    /// Waits for what the body waits for itself.
    pub async fn while_waiting<F: Future>(&mut self, what: F) -> F::Output {
        match &mut self.part {
            Some(part) if !self.from.is_end_stream() => part.while_waiting(what).await,
            _ => what.await,
        }
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
        from.while_waiting(send(to, data, last)).await?;
        from.taken(count);
        if last {
            from.part = None;
            return Ok(None);
        }
    }
    from.part = None;
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
        let capacity = timeout(BODY_TIME, poll_fn(|cx| to.poll_capacity(cx))).await;
        match capacity.map_err(|_| Broken::Still)? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_takes_nothing_for_long_is_given_up() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(theirs).await.expect("it speaks HTTP/2");
            let taken = connection.accept().await;
            // It goes on, and reads nothing of it.
            connection.accept().await;
            drop(taken);
        });
        let (mut requests, connection) = h2::client::handshake(ours).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let request = Request::post("http://web/").body(()).expect("legal");
        let (_answer, mut to) = requests.send_request(request, false).expect("it is taken");
        let sent = timeout(BODY_TIME * 2, send(&mut to, vec![0; 1 << 20].into(), true)).await;
        assert!(matches!(sent, Ok(Err(Broken::Still))), "{sent:?}");
    }
}
