//! What the renderer asks for from outside of its tree, answered by git and the web. A runtime is made when something is
//! asked for: most renderings need none.

use super::{
    cache::Cache,
    git::{self, GitError},
    web,
};
use lapdev_kustomize::{DiskFileSystem, FileSystem, RemoteError, Remotes, Repository};
use std::{path::PathBuf, time::Duration};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Fetches.
#[derive(Debug)]
pub struct Fetch {
    /// The cache, if not the user's.
    pub cache: Option<PathBuf>,
    /// How long a file may take.
    pub patience: Duration,
    /// Whether repositories of this disk may be named: not by what was fetched from elsewhere.
    pub disk: bool,
}

impl Default for Fetch {
    fn default() -> Self {
        Self { cache: None, patience: web::PATIENCE, disk: true }
    }
}

impl Fetch {
    /// The files of a repository at its ref.
    pub fn tree(&self, repository: &Repository) -> Result<DiskFileSystem, RemoteError> {
        let (kind, name) = ("repositories", repository.url.as_str());
        let cache = match &self.cache {
            Some(root) => Cache::below(root, kind, name),
            None => Cache::of(kind, name),
        };
        let cache = cache.map_err(GitError::Cache)?;
        wait(git::fetch(repository, &cache))
    }
}

impl Remotes for Fetch {
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
        if repository.is_local() && !self.disk {
            return Err("what was fetched from elsewhere must not name repositories of this disk".into());
        }
        Ok(Box::new(self.tree(repository)?))
    }

    fn file(&self, url: &str, limit: usize) -> Result<Vec<u8>, RemoteError> {
        wait(web::fetch(url, limit, self.patience))
    }
}

/// Whoever started the command wants it to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Waits on one thread for what runs elsewhere. A signal ends the wait, and with it the programs that the work has started,
/// which are in groups of their own and would hear of none, and the folders that it has begun to fill. From the first wait
/// on a signal that comes between two is lost: rendering there ends by itself, within its limits.
pub fn wait<T, E: Into<RemoteError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, RemoteError> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            done = work => done.map_err(Into::into),
            _ = interrupt.recv() => Err(Interrupted.into()),
            _ = terminate.recv() => Err(Interrupted.into()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_from_elsewhere_names_no_repository_of_this_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let fetch = Fetch { cache: Some(folder.path().join("cache")), disk: false, ..Fetch::default() };
        let mine = Repository::parse(&format!("file://{}//base", folder.path().display())).expect("a repository");
        let error = fetch.repository(&mine).err().expect("refused").to_string();
        assert!(error.contains("must not name repositories of this disk"), "{error}");
        assert!(!folder.path().join("cache").exists(), "git was not asked");
    }
}
