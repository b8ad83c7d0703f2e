//! How repositories are reached: credentials, trust, limits. libgit2 keeps some of these per process; they are set once
//! here, before its first use.

use super::{GitError, RepositoryUrl};
use std::{path::PathBuf, sync::OnceLock, time::Duration};

/// How many deadlines a repository's first fetch may take.
pub const FIRST_FETCH: u32 = 10;

/// How repositories are reached.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// A fetch, listing included, that takes longer is given up. The first one of a repository, which brings its whole
    /// history, may take [`FIRST_FETCH`] times as long, or a large one would never come.
    pub deadline: Duration,
    /// A server that is silent for longer is given up. Per process: the first settings win.
    pub silence: Duration,
    /// Who we are, by address.
    pub credentials: Vec<Credential>,
    /// Certificates, in PEM, that are trusted beside the system's. Per process.
    pub ca_file: Option<PathBuf>,
    /// How many fetches run at once.
    pub concurrency: usize,
    /// The most that one fetch may bring.
    pub max_fetch_bytes: u64,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            silence: Duration::from_secs(20),
            credentials: Vec::new(),
            ca_file: None,
            concurrency: 4,
            max_fetch_bytes: 4 << 30,
        }
    }
}

/// The token for every repository whose address begins with a prefix. It is sent nowhere else.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Such as `https://github.com/acme/`. A prefix ends at a `/`, or is the whole address.
    pub prefix: String,
    /// With basic authentication the user name counts little; GitHub's convention is `x-access-token`.
    pub username: String,
    /// The file that holds the token; read anew for each fetch, so that it can be rotated.
    pub token_file: PathBuf,
}

impl Credential {
    /// A token file for a prefix, with GitHub's user name.
    #[must_use]
    pub fn token(prefix: impl Into<String>, token_file: impl Into<PathBuf>) -> Self {
        Self { prefix: prefix.into(), username: "x-access-token".to_owned(), token_file: token_file.into() }
    }

    fn covers(&self, url: &str) -> bool {
        match url.strip_prefix(self.prefix.trim_end_matches('/')) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl GitSettings {
    /// User name and token for an address; the longest prefix wins.
    pub(super) fn credential(&self, url: &RepositoryUrl) -> Result<Option<(String, String)>, GitError> {
        let covering = self.credentials.iter().filter(|c| c.covers(url.as_str()));
        let Some(credential) = covering.max_by_key(|c| c.prefix.len()) else {
            return Ok(None);
        };
        let path = &credential.token_file;
        let token =
            std::fs::read_to_string(path).map_err(|source| GitError::SettingFile { path: path.clone(), source })?;
        Ok(Some((credential.username.clone(), token.trim().to_owned())))
    }

    /// Gives libgit2 what it keeps per process. Only the first call has an effect.
    pub(super) fn apply(&self) -> Result<(), GitError> {
        static APPLIED: OnceLock<Result<(), String>> = OnceLock::new();
        if let Some(path) = &self.ca_file {
            std::fs::metadata(path).map_err(|source| GitError::SettingFile { path: path.clone(), source })?;
        }
        let applied = APPLIED.get_or_init(|| set_process_wide(self).map_err(|error| error.message().to_owned()));
        applied.clone().map_err(|message| GitError::Settings(git2::Error::from_str(&message)))
    }
}

/// libgit2 has no other way to limit a silent server, nor to trust a further certificate.
#[allow(unsafe_code)]
fn set_process_wide(settings: &GitSettings) -> Result<(), git2::Error> {
    let milliseconds = i32::try_from(settings.silence.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: these write plain global variables of libgit2 without a lock, so nothing else may use libgit2 at the
    // same time. `apply` runs this once per process, and `Mirrors::open`, which alone leads to any other use of it,
    // calls `apply` first and waits for its end.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(milliseconds)?;
        git2::opts::set_server_timeout_in_milliseconds(milliseconds)?;
        if let Some(path) = &settings.ca_file {
            git2::opts::set_ssl_cert_file(path)?;
        }
    }
    Ok(())
}
