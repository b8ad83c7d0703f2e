//! What both ends of the tunnel share: bytes over WebSocket messages, the heartbeat, HTTP/2's settings,
//! JSON lines, the headers that end at each hop, the two ends of a WebSocket joined.
//!
//! The hub and the agent each add their half and never depend on each other. Nothing here knows what travels.

pub mod body;
pub mod h2;
pub mod hop;
pub mod lines;
pub mod link;
pub mod relay;
