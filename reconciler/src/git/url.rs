//! The address of a repository, checked once.

use super::GitError;
use std::{fmt, path::Path, str::FromStr};

/// `https://…`, `http://…`, `file:///…` or an absolute path; never with a user name or password inside, since addresses
/// are logged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryUrl(String);

impl RepositoryUrl {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of a repository on this machine's disk.
    ///
    /// # Errors
    /// If the path is not absolute or not UTF-8.
    pub fn from_path(path: &Path) -> Result<Self, GitError> {
        path.to_str().ok_or_else(|| GitError::Url(path.to_string_lossy().into_owned()))?.parse()
    }
}

impl FromStr for RepositoryUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let local = text.strip_prefix("file://").unwrap_or(text);
        let remote = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let legal = match remote {
            // A query or fragment could carry a token as well.
            Some(rest) => printable && rest.find('/').is_some_and(|host| host > 0) && !rest.contains(['@', '?', '#']),
            None => local.starts_with('/') && !local.chars().any(char::is_control),
        };
        match legal {
            true => Ok(Self(text.trim_end_matches('/').to_owned())),
            // The text may hold a password: show no more than its scheme and host.
            false => Err(GitError::Url(redacted(text))),
        }
    }
}

fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
