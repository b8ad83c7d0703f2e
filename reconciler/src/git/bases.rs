//! Remote bases of kustomizations: repositories that a config or an app repository names, so that whoever may push there
//! chooses what this server fetches. Hence only from where the operator says, without credentials, from no host that
//! another leads on to, and at a commit, which is the same for ever: a rendering stays a function of what is in git.
//!
//! Blocking, but not for long: it runs in the threads that render, and one pass renders for everybody. A base that takes
//! longer goes on in a thread of its own, and is there in a later pass. What was fetched is not fetched again, unless it had
//! to give way.

use super::{GitError, GitSettings, Mirror, RepositoryUrl, fetch, repair, room, transport::Reach};
use lapdev_api::{digest::short_hash, name::Commit};
use lapdev_kustomize::{FileSystem, RemoteError, Remotes, Repository};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// The most that a base may bring.
const MAX_BYTES: u64 = 512 << 20;
/// The most that all of them take of the disk, before another one comes.
const MAX_KEPT: u64 = 16 << 30;
/// So many are held open.
const MAX_OPEN: usize = 64;
/// What could not be fetched is not asked for again before.
const RETRY: Duration = Duration::from_secs(60);
/// The longest that a rendering waits for one.
const WAIT: Duration = Duration::from_secs(20);
/// So many are fetched at the same time.
const AT_ONCE: usize = 4;

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
    /// It takes long, or others do.
    #[error("it is not here yet: it, or {AT_ONCE} others, are still being fetched; what runs stays until then")]
    Pending,
    /// No thread for it.
    #[error("the system gives no thread to fetch it in")]
    Thread(#[source] io::Error),
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
    reach: Arc<Reach>,
    deadline: Duration,
    wait: Duration,
    open: Mutex<HashMap<PathBuf, Mirror>>,
    failed: Mutex<HashMap<PathBuf, (Instant, String)>>,
    under_way: Mutex<HashSet<PathBuf>>,
}

impl Bases {
    /// Fetches into a folder, which is made, from addresses that begin with one of `allowed`.
    ///
    /// # Errors
    /// If the folder cannot be used or the settings are refused.
    pub fn open(folder: PathBuf, settings: &GitSettings, allowed: Vec<RepositoryUrl>) -> Result<Self, GitError> {
        let reach = settings.reach()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| repair::remove_leftovers(&folder))
            .map_err(|source| GitError::Folder { path: folder.clone(), source })?;
        let (open, failed, under_way) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (deadline, wait) = (settings.deadline, settings.deadline.min(WAIT));
        Ok(Self(Arc::new(Inner { folder, allowed, reach, deadline, wait, open, failed, under_way })))
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
    fn mirror(self: &Arc<Self>, url: &RepositoryUrl, commit: &Commit) -> Result<Mirror, BaseError> {
        let path = self.folder.join(format!("{}.git", short_hash(&[url.as_str(), commit.as_str()], 26)));
        if let Some(mirror) = self.known(&path, commit)? {
            return Ok(mirror);
        }
        if let Some((_, why)) = lock(&self.failed).get(&path).filter(|(at, _)| at.elapsed() < RETRY) {
            return Err(BaseError::Again { why: why.clone() });
        }
        let turn = Turn::begin(self, &path).ok_or(BaseError::Pending)?;
        let (inner, url, commit) = (Arc::clone(self), url.clone(), commit.clone());
        let (tell, told) = mpsc::sync_channel(1);
        let work = move || {
            let fetched = inner.fetched(&url, &commit, &path);
            drop(turn);
            // Nobody may wait for it any more.
            let _ = tell.send(fetched);
        };
        // It ends with its deadline, or with the process: what that leaves half done is removed at the next start.
        thread::Builder::new().name("remote-base".to_owned()).spawn(work).map_err(BaseError::Thread)?;
        told.recv_timeout(self.wait).unwrap_or(Err(BaseError::Pending))
    }

    fn fetched(&self, url: &RepositoryUrl, commit: &Commit, path: &Path) -> Result<Mirror, BaseError> {
        match room::make(&self.folder, MAX_KEPT) {
            Ok(gone) => lock(&self.open).retain(|path, _| !gone.contains(path)),
            Err(error) => tracing::warn!(%error, "remote bases that nobody needs cannot be removed"),
        }
        let fetched = self
            .fetch(url, commit, path)
            .and_then(|()| self.known(path, commit)?.ok_or_else(|| BaseError::NoCommit(commit.clone())));
        let mut failed = lock(&self.failed);
        failed.retain(|_, (at, _)| at.elapsed() < RETRY);
        if let Err(why) = &fetched {
            failed.insert(path.to_owned(), (Instant::now(), lapdev_api::words::error_chain(why)));
        }
        fetched
    }

    fn known(&self, path: &Path, commit: &Commit) -> Result<Option<Mirror>, GitError> {
        let mut open = lock(&self.open);
        let known = open.get(path).cloned();
        let mirror = match known {
            Some(mirror) => Some(mirror),
            None => Mirror::open(path)?.filter(|mirror| mirror.has(commit)),
        };
        if let Some(mirror) = &mirror {
            if let Err(error) = room::note_use(path) {
                tracing::debug!(path = %path.display(), %error, "the use of a remote base is not noted");
            }
            if open.len() >= MAX_OPEN {
                // Each opens again in a moment.
                open.clear();
            }
            open.insert(path.to_owned(), mirror.clone());
        }
        Ok(mirror)
    }

    fn fetch(&self, url: &RepositoryUrl, commit: &Commit, path: &Path) -> Result<(), BaseError> {
        let job = fetch::Job {
            url: url.clone(),
            path: path.to_owned(),
            reach: Arc::clone(&self.reach),
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

/// A fetch under way, one at a time for each folder; its end is the turn's.
struct Turn {
    of: Arc<Inner>,
    path: PathBuf,
}

impl Turn {
    fn begin(of: &Arc<Inner>, path: &Path) -> Option<Self> {
        let mut under_way = lock(&of.under_way);
        let begins = under_way.len() < AT_ONCE && under_way.insert(path.to_owned());
        begins.then(|| Self { of: Arc::clone(of), path: path.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.of.under_way).remove(&self.path);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
