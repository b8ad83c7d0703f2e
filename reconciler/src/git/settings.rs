//! How repositories are reached: credentials, trust, proxies, limits.

use super::{
    GitError, RepositoryUrl,
    transport::{self, Reach, Trust, TrustError},
};
use hyper_util::client::proxy::matcher::Matcher;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How many deadlines a repository's first fetch may take.
pub const FIRST_FETCH: u32 = 10;

/// How repositories are reached.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// A fetch, listing included, that takes longer is given up. The first one of a repository, which brings its whole
    /// history, may take [`FIRST_FETCH`] times as long, or a large one would never come.
    pub deadline: Duration,
    /// A server that is silent for longer is given up.
    pub silence: Duration,
    /// Who we are, by address.
    pub credentials: Vec<Credential>,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Which proxy to ask; by default what `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` say.
    pub proxy: Arc<Matcher>,
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
            proxy: Arc::new(Matcher::from_env()),
            concurrency: 4,
            max_fetch_bytes: 4 << 30,
        }
    }
}

/// The token for every repository whose address begins with a prefix. It is sent to no other server, wherever that one
/// leads on to.
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

    /// What the fetches with these settings share. It also sees to it that libgit2 has our transport.
    pub(super) fn reach(&self) -> Result<Arc<Reach>, GitError> {
        transport::register().map_err(GitError::Transport)?;
        let path = || self.ca_file.clone().unwrap_or_default();
        let trust = Trust::read(self.ca_file.as_deref()).map_err(|error| match error {
            TrustError::Read(source) => GitError::SettingFile { path: path(), source },
            TrustError::Content(message) => GitError::Authority { path: path(), message },
        })?;
        Ok(Arc::new(Reach { trust, proxy: Arc::clone(&self.proxy), silence: self.silence }))
    }
}
