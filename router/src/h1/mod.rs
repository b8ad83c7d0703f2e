//! HTTP/1.0 and 1.1: a loop of our own, which passes bytes on where a general library would take them apart and put them
//! together again. What makes that safe is that `head`, `framing` and `body` leave no doubt about where a message
//! ends: they are strict, pure, and hold no memory of the request before.

mod body;
mod exchange;
mod framing;
mod head;
mod relay;
mod rewrite;

pub use head::BadHead;
pub use rewrite::ClientAddress;

use crate::{buffer::Buffer, connection::Client, limits::IDLE, socket, tcp, worker::Worker};
use exchange::After;
use std::{rc::Rc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// When the router ends, an idle connection is waited for so long: a client that is at work sends another request, and is
/// told with its answer; if it were closed at once, that request could be lost.
pub const PARTING: Duration = Duration::from_secs(3);

/// Serves requests one after the other, until either side wants no more.
pub async fn serve(worker: &Rc<Worker>, client: Client, first: Buffer) {
    let mut input = Some(first);
    let mut idle = std::pin::pin!(sleep_until(Instant::now() + IDLE));
    let mut closing = std::pin::pin!(worker.until_closing());
    let mut parting = false;
    loop {
        let mut bytes = input.take().unwrap_or_default();
        // In a box, so that an idle connection does not hold the room that a request takes.
        match Box::pin(exchange::one(worker, &client, &mut bytes)).await {
            After::Kept => {}
            After::Closed => {
                drop(bytes);
                return Box::pin(socket::linger(client.stream)).await;
            }
            After::Reset => return socket::reset(client.stream),
            After::Tunnel(lease, endpoint, answered) => {
                Box::pin(tcp::join(client.stream, endpoint, bytes, answered)).await;
                return drop(lease);
            }
        }
        if !bytes.is_empty() {
            input = Some(bytes);
            continue;
        }
        drop(bytes);
        let mut deadline = Instant::now() + IDLE;
        loop {
            tokio::select! {
                biased;
                ready = client.stream.readable() => match ready {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = &mut idle => {
                    if Instant::now() >= deadline {
                        return;
                    }
                    // It was set for a request before: rarely setting it is cheaper than setting it for each.
                    idle.as_mut().reset(deadline);
                }
                () = &mut closing, if !parting => {
                    parting = true;
                    deadline = Instant::now() + PARTING;
                    idle.as_mut().reset(deadline);
                }
            }
        }
    }
}
