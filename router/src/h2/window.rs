//! What a client may have under way on its HTTP/2 connection, all streams together. Streams that stand still (their endpoint
//! takes nothing, or is not there yet) hold what they were allowed; the connection's window becomes wider by as much, so that
//! its other streams go on. By how much in all is bounded for the worker; beyond, a client's streams wait for each other.

use crate::{
    limits::{CONNECTION_WINDOW, STANDING, STREAM_WINDOW},
    worker::Worker,
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
};
use tokio::sync::Notify;

/// Of one connection.
#[derive(Debug)]
pub struct Window {
    worker: Rc<Worker>,
    standing: Cell<u32>,
    changed: Notify,
}

impl Window {
    /// Of a connection without streams.
    pub fn new(worker: &Rc<Worker>) -> Rc<Self> {
        Rc::new(Self { worker: worker.clone(), standing: Cell::new(0), changed: Notify::new() })
    }

    /// How wide it should be.
    pub fn size(&self) -> u32 {
        CONNECTION_WINDOW + self.standing.get() * STREAM_WINDOW
    }

    /// Ends when [`Self::size`] has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn widen(self: &Rc<Self>) -> Option<Wider> {
        let all = &self.worker.standing;
        if all.get() >= STANDING {
            return None;
        }
        all.set(all.get() + 1);
        self.standing.set(self.standing.get() + 1);
        self.changed.notify_one();
        Some(Wider(self.clone()))
    }
}

/// What a stream that stood still has made its window wider, until it is dropped.
#[derive(Debug)]
struct Wider(Rc<Window>);

impl Drop for Wider {
    fn drop(&mut self) {
        let Self(window) = self;
        window.worker.standing.set(window.worker.standing.get() - 1);
        window.standing.set(window.standing.get() - 1);
        window.changed.notify_one();
    }
}

/// One stream's part in it.
#[derive(Debug)]
pub struct Part {
    of: Rc<Window>,
    wider: Option<Wider>,
}

impl Part {
    /// Of a stream that has not stood still yet.
    pub fn new(of: &Rc<Window>) -> Self {
        Self { of: of.clone(), wider: None }
    }

    /// Waits for what the stream's body has to wait for. Who stood still once is likely to do so again, so the window stays as
    /// wide until the stream ends.
    pub async fn while_waiting<F: Future>(&mut self, what: F) -> F::Output {
        let mut what = pin!(what);
        poll_fn(|cx| {
            let done = what.as_mut().poll(cx);
            if done.is_pending() && self.wider.is_none() {
                self.wider = self.of.widen();
            }
            done
        })
        .await
    }
}
