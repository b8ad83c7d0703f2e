//! The tunnel's server half: an agent's WebSocket is let in, fenced by token and epoch, and becomes a session.

mod session;
mod upgrade;

pub(crate) use upgrade::answer;
