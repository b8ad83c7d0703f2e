//! The HTTP/2 client, for h2 and unary gRPC: many requests at once on one connection. What the protocol asks of a client is
//! in [`session`]; here are the socket and the pace.

mod session;

use super::{
    h1::LIMIT,
    plan::Plan,
    source::{Pace, Source},
    tally::{Begun, Tally},
};
use session::{Event, Session};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep_until, timeout},
};

/// After so many connections in a row that ended without one answer, what they did not answer counts as failed.
const MOST_RETRIES: u32 = 3;
/// The pause after a connection that could not be opened.
const PAUSE: Duration = Duration::from_millis(10);

/// How a connection ended.
enum End {
    /// There are no more requests.
    Done,
    /// The peer ended it; whether it had answered anything.
    Closed { answered: bool },
}

/// Sends requests until there are no more.
pub(super) async fn drive(plan: &Plan, source: &Source, mut pace: Pace) -> Tally {
    let mut tally = Tally::default();
    let mut again = VecDeque::new();
    let mut in_vain = 0;
    loop {
        match connection(plan, source, &mut pace, &mut again, &mut tally).await {
            Ok(End::Done) => return tally,
            Ok(End::Closed { answered }) => in_vain = if answered { 0 } else { in_vain + 1 },
            // It costs one request, as it does with HTTP/1.1.
            Err(why) => {
                if again.pop_front().is_some() || source.next().is_some() {
                    tally.failed(&why);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        if in_vain > MOST_RETRIES {
            for _ in again.drain(..) {
                tally.failed("closed without any answer");
            }
        }
    }
}

/// Uses one connection until the peer ends it or there are no more requests. An error is that of connecting.
async fn connection(
    plan: &Plan,
    source: &Source,
    pace: &mut Pace,
    again: &mut VecDeque<Begun>,
    tally: &mut Tally,
) -> Result<End, String> {
    if again.is_empty() && source.is_done() {
        return Ok(End::Done);
    }
    let open = timeout(LIMIT, TcpStream::connect(plan.target)).await.map_err(|_| "connect: in time".to_owned())?;
    let mut stream = open.map_err(|error| format!("connect: {}", error.kind()))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut session = Session::new(plan);
    let mut buffer = Vec::with_capacity(64 << 10);
    loop {
        let due = fill(plan, &mut session, source, pace, again);
        if session.is_idle() && again.is_empty() && due == Due::Never {
            return Ok(End::Done);
        }
        let ended = step(&mut stream, &mut session, &mut buffer, due).await;
        note(&mut session, source, again, tally);
        if let Err(why) = ended {
            for begun in session.under_way() {
                if why == CLOSED && !session.answered {
                    tally.retried += 1;
                    again.push_back(begun);
                } else {
                    tally.failed(&why);
                }
            }
            return Ok(End::Closed { answered: session.answered });
        }
        if session.is_going_away() && session.is_idle() {
            return Ok(End::Closed { answered: session.answered });
        }
    }
}

const CLOSED: &str = "closed amid an answer";

/// When the next request may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    At(Instant),
    /// When an answer makes room.
    WithRoom,
    /// There are no more.
    Never,
}

/// Sends what may be sent now.
fn fill(plan: &Plan, session: &mut Session, source: &Source, pace: &mut Pace, again: &mut VecDeque<Begun>) -> Due {
    while session.under_way_count() < plan.streams && session.has_room() {
        if let Some(begun) = again.pop_front() {
            session.send(begun);
            continue;
        }
        if let Some(due) = pace.due().filter(|due| *due > Instant::now()) {
            return if source.is_done() { Due::Never } else { Due::At(due) };
        }
        let Some(kind) = source.next() else { return Due::Never };
        let free = session.had_room;
        session.send(Begun { kind, at: pace.sent(free) });
    }
    session.had_room = false;
    Due::WithRoom
}

/// Writes what is to be written and waits for bytes, or for the next request to be due.
async fn step(stream: &mut TcpStream, session: &mut Session, buffer: &mut Vec<u8>, due: Due) -> Result<(), String> {
    if !session.out.is_empty() {
        let written = timeout(LIMIT, stream.write_all(&session.out)).await;
        written.map_err(|_| "the peer reads nothing")?.map_err(|error| format!("write: {}", error.kind()))?;
        session.out.clear();
    }
    let read = timeout(LIMIT, stream.read_buf(buffer));
    let read = match due {
        Due::At(at) => {
            session.had_room = true;
            tokio::select! {
                biased;
                read = read => read,
                () = sleep_until(at.into()) => return Ok(()),
            }
        }
        Due::WithRoom | Due::Never => read.await,
    };
    match read {
        Err(_) => Err("no whole answer in time".to_owned()),
        Ok(Err(error)) => Err(format!("read: {}", error.kind())),
        Ok(Ok(0)) => Err(CLOSED.to_owned()),
        Ok(Ok(_)) => {
            let used = session.receive(buffer)?;
            buffer.drain(..used);
            Ok(())
        }
    }
}

fn note(session: &mut Session, source: &Source, again: &mut VecDeque<Begun>, tally: &mut Tally) {
    for event in session.events.drain(..) {
        match event {
            Event::Answered(begun, answer) => tally.answered(begun.kind, &answer, begun.latency(source.counted_from)),
            Event::Failed(why) => tally.failed(&why),
            Event::NotTakenUp(begun) => {
                tally.retried += 1;
                again.push_back(begun);
            }
        }
    }
}
