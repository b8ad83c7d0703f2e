//! What [`GitHub`](super::GitHub) must be told: where it is, who we are there, how long to wait.

use std::{path::PathBuf, time::Duration};
use url::Url;

/// The address of GitHub's API for everybody; GitHub Enterprise has `https://HOST/api/v3`.
pub const PUBLIC_API: &str = "https://api.github.com";

/// Where GitHub is and how to talk to it.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The API's base address, with its path if it has one.
    pub api_url: Url,
    /// Who we are.
    pub credentials: Credentials,
    /// PEM certificates of authorities that are trusted besides the system's own.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one request may take, its answer's last byte included.
    pub request_timeout: Duration,
    /// How long an answer may be asked for conditionally before it is asked for anew: should GitHub ever confirm
    /// something wrong with the right `ETag`, it lasts no longer than this.
    pub remember: Duration,
    /// How long after a failed attempt to write a comment it may still appear. GitHub ends requests after 10 s.
    pub settle: Duration,
}

/// Who we are at GitHub. Both are names of files, so that nothing secret passes through settings.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A personal or fine-grained access token; read again when GitHub refuses it.
    TokenFile(PathBuf),
    /// A GitHub App; its installation is found for each repository.
    App {
        /// The App's id.
        app_id: u64,
        /// Its RSA private key, PEM.
        key_file: PathBuf,
    },
}

impl GitHubSettings {
    /// The usual waiting times, and the system's authorities alone.
    #[must_use]
    pub fn new(api_url: Url, credentials: Credentials) -> Self {
        Self {
            api_url,
            credentials,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            remember: Duration::from_secs(600),
            settle: Duration::from_secs(15),
        }
    }
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file that cannot be read.
    #[error("cannot read the {what} {}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that holds something else than it should.
    #[error("{} holds no {what}: {message}", path.display())]
    Content {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What is wrong with it; never its content.
        message: String,
    },
    /// An address that is none of an HTTP API.
    #[error("{0} is no address of GitHub's API; expected https://HOST or https://HOST/PATH, without query or user")]
    Address(Url),
    /// TLS could not be set up.
    #[error("cannot set up TLS for GitHub")]
    Tls(#[source] rustls::Error),
}
