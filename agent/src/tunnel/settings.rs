//! Where the hub is and how to reach it.

use hyper_util::client::proxy::matcher::Matcher;
use lapdev_tunnel::link::Heartbeat;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use url::Url;

/// What [`super::run`] needs to know.
#[derive(Clone)]
pub struct TunnelSettings {
    /// The hub's external address (`LAPDEV_URL`): `https://…`; `http://…` in tests only.
    pub url: Url,
    /// The cluster's token; read anew for each attempt, so that a rotated one counts.
    pub token_file: PathBuf,
    /// Certificates (PEM) that are trusted besides the system's; read anew for each attempt.
    pub ca_file: Option<PathBuf>,
    /// Which proxy to ask; [`Self::new`] takes it from `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy: Arc<Matcher>,
    /// How long one attempt may take, from the name's look-up to the end of the handshake.
    pub dial_timeout: Duration,
    /// How a dead connection is noticed.
    pub heartbeat: Heartbeat,
}

impl TunnelSettings {
    /// With the environment's proxy and the usual times.
    #[must_use]
    pub fn new(url: Url, token_file: PathBuf, ca_file: Option<PathBuf>) -> Self {
        Self {
            url,
            token_file,
            ca_file,
            proxy: Arc::new(Matcher::from_env()),
            dial_timeout: Duration::from_secs(30),
            heartbeat: Heartbeat::default(),
        }
    }
}

impl fmt::Debug for TunnelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        f.debug_struct("TunnelSettings").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
