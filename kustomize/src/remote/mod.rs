//! What kustomizations name outside of their tree: git repositories, and files that a web server has. This crate reads
//! the addresses and knows what may be done with what comes; who fetches it is the caller, through [`Remotes`].

mod query;
mod repository;
mod trees;

pub use repository::{Repository, is_local};
pub use trees::Trees;

use crate::fs::FileSystem;
use repository::is_marked;

/// Why something could not be fetched.
pub type RemoteError = Box<dyn std::error::Error + Send + Sync>;

/// Fetches what lies outside of the rendered tree. Each thing is asked for once in a rendering, or once in the life of
/// a [`Renderer`](crate::Renderer).
pub trait Remotes {
    /// The whole tree of a repository at its ref; `repository.path` is found in it afterwards.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched, or forbids it. The message is shown behind the place that asks for it.
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError>;

    /// The file at an address that begins with `http://` or `https://`, of at most `limit` bytes.
    ///
    /// # Errors
    /// The same.
    fn file(&self, url: &str, limit: usize) -> Result<Vec<u8>, RemoteError>;
}

/// How an entry of `resources` is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    Repository(Repository),
    /// A file of manifests, unless it is none: then perhaps a repository.
    File(Option<Repository>),
}

impl Remote {
    /// `None` for a path of the tree.
    pub fn of(text: &str) -> Option<Self> {
        let repository = Repository::parse(text);
        if !is_web_file(text) {
            return repository.map(Self::Repository);
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let is_manifest = [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end));
        let on_github = || repository.as_ref().is_some_and(|found| found.url.starts_with("https://github.com/"));
        match (is_manifest, is_marked(text)) {
            (true, false) => Some(Self::File(None)),
            // GitHub shows pages for directories, and manifests under no name without an ending.
            (false, marked) if marked || on_github() => repository.map(Self::Repository),
            _ => Some(Self::File(repository)),
        }
    }
}

/// Whether a text is the address of a file on a web server.
pub fn is_web_file(text: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_what_it_looks_like() {
        let kind = |text: &str| match Remote::of(text) {
            None => "path",
            Some(Remote::Repository(_)) => "repository",
            Some(Remote::File(None)) => "file",
            Some(Remote::File(Some(_))) => "file or repository",
        };
        for (text, want) in [
            ("../base", "path"),
            ("app.yaml", "path"),
            ("git@git.example.com:shop/web.git", "repository"),
            ("https://github.com/shop/web/deploy?ref=v1", "repository"),
            ("https://git.example.com/shop/web.git/deploy", "repository"),
            ("https://git.example.com/shop/web//deploy", "repository"),
            ("https://github.com/shop/web/releases/download/v1/install.yaml", "file"),
            ("https://raw.example.com/shop/web/v1/app.yml?token=x", "file"),
            ("https://example.com/app.json", "file"),
            ("https://example.com/manifests", "file"),
            ("HTTPS://git.example.com/shop/web/deploy", "file or repository"),
            ("https://git.example.com/shop/web.git/app.yaml", "file or repository"),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
    }
}
