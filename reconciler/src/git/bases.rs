//! Remote bases of kustomizations: repositories that a config or an app repository names, so that whoever may push there
//! chooses what this server fetches. Hence only from where the operator says, without credentials, from no host that
//! another leads on to, and at a commit, which is the same for ever: a rendering stays a function of what is in git.
//!
//! Blocking: it runs in the threads that render. A base that was fetched once is never fetched again.

use super::{GitError, GitSettings, Mirror, RepositoryUrl, fetch, repair};
use lapdev_api::{digest::short_hash, name::Commit};
use lapdev_kustomize::{FileSystem, RemoteError, Remotes, Repository};
use std::{
    collections::{BTreeSet, HashMap},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most that a base may bring.
const MAX_BYTES: u64 = 512 << 20;
/// What could not be fetched is not asked for again before.
const RETRY: Duration = Duration::from_secs(60);

/// Why a base is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// A file of a web server, which is another one tomorrow.
    #[error("lapdev fetches no single files, since nothing pins what they hold; copy it into the repository")]
    File,
    /// No commit.
    #[error(
        "lapdev fetches remote bases at a commit only, so that each rendering is the same; write `?ref=` and its full id"
    )]
    NotPinned,
    /// Not from there.
    #[error(
        "lapdev may not fetch from there; let the operator add the beginning of its address to `remote_bases` under [git] in lapdev.toml, or copy the base into the repository"
    )]
    NotAllowed,
    /// The repository has no such commit, or shows it to nobody.
    #[error("that repository has no commit {0}, or none that it shows without credentials")]
    NoCommit(Commit),
    /// It failed a moment ago.
    #[error("{why} (it is tried again within {} s)", RETRY.as_secs())]
    Again {
        /// Why.
        why: String,
    },
    /// Git failed.
    #[error(transparent)]
    Git(GitError),
}

impl From<GitError> for BaseError {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl BaseError {
    /// Whether trying again would end the same: what the kustomization says is at fault.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::File | Self::NotPinned | Self::NotAllowed)
    }
}

/// The commit that a base is pinned to.
fn pinned(repository: &Repository) -> Result<Commit, BaseError> {
    let commit = repository.commit().ok_or(BaseError::NotPinned)?;
    commit.to_ascii_lowercase().parse().map_err(|_| BaseError::NotPinned)
}

/// The same rule over somebody else's fetching, for checks that run elsewhere.
pub struct Pinned<'r>(pub &'r dyn Remotes);

impl Remotes for Pinned<'_> {
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
        pinned(repository)?;
        self.0.repository(repository)
    }

    fn file(&self, _: &str, _: usize) -> Result<Vec<u8>, RemoteError> {
        Err(BaseError::File.into())
    }
}

/// The remote bases that were fetched, and how more are.
#[derive(Debug, Clone)]
pub struct Bases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    allowed: Vec<RepositoryUrl>,
    deadline: Duration,
    open: Mutex<HashMap<PathBuf, Mirror>>,
    failed: Mutex<HashMap<PathBuf, (Instant, String)>>,
}

impl Bases {
    /// Fetches into a folder, which is made, from addresses that begin with one of `allowed`.
    ///
    /// # Errors
    /// If the folder cannot be used or the settings are refused.
    pub fn open(folder: PathBuf, settings: &GitSettings, allowed: Vec<RepositoryUrl>) -> Result<Self, GitError> {
        settings.apply()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| repair::remove_leftovers(&folder))
            .map_err(|source| GitError::Folder { path: folder.clone(), source })?;
        let (open, failed) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { folder, allowed, deadline: settings.deadline, open, failed })))
    }
}

impl Remotes for Bases {
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
        let url = self.0.allowed(&repository.url)?;
        let commit = pinned(repository)?;
        let mirror = self.0.mirror(&url, &commit)?;
        Ok(Box::new(mirror.tree(&commit)?))
    }

    fn file(&self, _: &str, _: usize) -> Result<Vec<u8>, RemoteError> {
        Err(BaseError::File.into())
    }
}

impl Inner {
    fn allowed(&self, text: &str) -> Result<RepositoryUrl, BaseError> {
        let below =
            |prefix: &RepositoryUrl| text.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'));
        // A server may read these as another path than the one that was compared.
        let is_plain = !text.contains(['%', '\\']) && text.split('/').all(|part| part != "." && part != "..");
        match is_plain && self.allowed.iter().any(below) {
            true => text.parse().map_err(|_| BaseError::NotAllowed),
            false => Err(BaseError::NotAllowed),
        }
    }

    /// One folder for each commit, since none needs the history of another.
    fn mirror(&self, url: &RepositoryUrl, commit: &Commit) -> Result<Mirror, BaseError> {
        let path = self.folder.join(format!("{}.git", short_hash(&[url.as_str(), commit.as_str()], 26)));
        if let Some(mirror) = self.known(&path, commit)? {
            return Ok(mirror);
        }
        if let Some((_, why)) = lock(&self.failed).get(&path).filter(|(at, _)| at.elapsed() < RETRY) {
            return Err(BaseError::Again { why: why.clone() });
        }
        let fetched = self
            .fetch(url, commit, &path)
            .and_then(|()| self.known(&path, commit)?.ok_or_else(|| BaseError::NoCommit(commit.clone())));
        match &fetched {
            Ok(_) => lock(&self.failed).remove(&path),
            Err(why) => lock(&self.failed).insert(path, (Instant::now(), lapdev_api::words::error_chain(why))),
        };
        fetched
    }

    fn known(&self, path: &PathBuf, commit: &Commit) -> Result<Option<Mirror>, GitError> {
        let mut open = lock(&self.open);
        if let Some(mirror) = open.get(path) {
            return Ok(Some(mirror.clone()));
        }
        let mirror = Mirror::open(path)?.filter(|mirror| mirror.has(commit));
        if let Some(mirror) = &mirror {
            open.insert(path.clone(), mirror.clone());
        }
        Ok(mirror)
    }

    fn fetch(&self, url: &RepositoryUrl, commit: &Commit, path: &std::path::Path) -> Result<(), BaseError> {
        let job = fetch::Job {
            url: url.clone(),
            path: path.to_owned(),
            pulls: BTreeSet::new(),
            deadline: Instant::now() + self.deadline,
            after: self.deadline,
            limit: MAX_BYTES,
        };
        tracing::info!(repository = %url, %commit, "fetching a remote base");
        fetch::commit(&job, commit).map_err(|error| match error {
            // To those who may not read it a forge says the same of what is not there.
            GitError::Unauthorized { .. } => BaseError::NoCommit(commit.clone()),
            error => error.into(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
