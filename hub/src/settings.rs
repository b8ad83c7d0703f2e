//! What the hub needs to know. Reading it from a file is the command's.

use lapdev_tunnel::link::Heartbeat;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use url::Url;

/// The hub's settings.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Where it listens; port 0 in tests.
    pub listen: SocketAddr,
    /// How people, agents and webhooks reach it; previews use its scheme and port.
    pub external_url: Url,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where `admin.token` is.
    pub data_dir: PathBuf,
    /// Bounds on what a client may do.
    pub limits: Limits,
    /// How a dead agent is noticed.
    pub heartbeat: Heartbeat,
}

impl HubSettings {
    /// With the usual limits.
    #[must_use]
    pub fn new(listen: SocketAddr, external_url: Url, tls: Option<TlsFiles>, data_dir: PathBuf) -> Self {
        let (limits, heartbeat) = (Limits::default(), Heartbeat::default());
        Self { listen, external_url, tls, data_dir, limits, heartbeat }
    }
}

/// Certificate and key, PEM; read again when either file changes.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Bounds on what a client may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections, all together.
    pub connections: usize,
    /// From the connection's start to its TLS handshake's end, and to the end of a request's headers.
    pub header_timeout: Duration,
    /// All headers of one request, in bytes.
    pub header_bytes: usize,
    /// A client that takes nothing of an answer, or sends nothing of a request's body, for so long is dropped.
    pub stall_timeout: Duration,
    /// How long a shutdown waits for requests that are under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            header_timeout: Duration::from_secs(15),
            header_bytes: 64 << 10,
            stall_timeout: Duration::from_secs(120),
            drain: Duration::from_secs(5),
        }
    }
}
