//! What a run of the load client is to do.

use super::ask::Ask;
use std::{fmt, net::SocketAddr, time::Duration};

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom to ask.
    pub target: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Connections, kept for the whole run.
    pub connections: usize,
    /// Requests under way at once on each; HTTP/1.1 has one.
    pub streams: usize,
    /// How long.
    pub amount: Amount,
    /// Answers to requests begun in this first time are checked but not measured.
    pub warm_up: Duration,
    /// Requests a second over all connections; absent: the next as soon as there is room.
    pub rate: Option<f64>,
    /// `Host`, or `:authority`.
    pub authority: String,
    /// The path.
    pub path: String,
    /// The kinds of requests, taken in turn. Never empty.
    pub asks: Vec<Ask>,
    /// What in an answer says which version gave it.
    pub version_from: VersionFrom,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1 on kept connections.
    H1,
    /// HTTP/2 with prior knowledge.
    H2,
    /// Unary gRPC on HTTP/2 with prior knowledge.
    Grpc,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Grpc => "grpc",
        })
    }
}

/// How long a run lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many requests.
    Requests(u64),
    /// Until this time is over, the warm-up included.
    For(Duration),
}

/// Where an answer says which version gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum VersionFrom {
    /// The first line of the body (of a gRPC message), at most 64 bytes: the backend itself says it.
    Body,
    /// The header `x-lapdev-served-by`: the router says it.
    Header,
}
