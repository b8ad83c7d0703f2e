//! The folder of mirrors, and fetching into it: deadlines, bounds and hand-over between async callers and libgit2,
//! which blocks.

use super::{FIRST_FETCH, GitError, GitSettings, Listing, Mirror, RepositoryUrl, fetch, repair, transport::Reach};
use lapdev_api::digest::short_hash;
use std::{
    collections::{BTreeSet, HashMap},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// A folder of bare mirrors, one per repository. One process at a time may have it open.
#[derive(Debug, Clone)]
pub struct Mirrors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    settings: GitSettings,
    reach: Arc<Reach>,
    /// Bounds the threads that libgit2 may block. A permit is held until its thread ends, even past the deadline.
    slots: Arc<Semaphore>,
    open: Mutex<HashMap<RepositoryUrl, Mirror>>,
}

/// The outcome of a fetch that ended without error.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The mirror, which holds every commit of the listing.
    pub mirror: Mirror,
    /// What the remote said.
    pub listing: Listing,
    /// Whether anything differed from what the mirror had.
    pub changed: bool,
}

impl Mirrors {
    /// Opens the folder, making it for its owner alone (0700) if there is none, and removes what a killed process left half-made.
    ///
    /// # Errors
    /// If the folder cannot be used or the settings are refused.
    pub fn open(folder: impl Into<PathBuf>, settings: GitSettings) -> Result<Self, GitError> {
        let reach = settings.reach()?;
        let folder = folder.into();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| repair::remove_leftovers(&folder))
            .map_err(|source| GitError::Folder { path: folder.clone(), source })?;
        let slots = Arc::new(Semaphore::new(settings.concurrency.max(1)));
        Ok(Self(Arc::new(Inner { folder, settings, reach, slots, open: Mutex::default() })))
    }

    /// Brings the mirror of `url` up to date: all branches, and the heads of those pull requests that are asked for
    /// (a fork's commits are in no branch here). A remote whose listing equals ours is only listed.
    ///
    /// # Errors
    /// Whenever the listing or the transfer did not end well within the deadline. None of them says that anything is
    /// gone; the mirror keeps what it had.
    pub async fn fetch(&self, url: &RepositoryUrl, pulls: &BTreeSet<u64>) -> Result<Fetched, GitError> {
        let after = self.0.deadline(url);
        let work = self.fetch_unbounded(self.job(url, pulls, after));
        let passed = |_| GitError::Deadline { url: url.to_string(), after };
        tokio::time::timeout(after, work).await.map_err(passed)?
    }

    async fn fetch_unbounded(&self, job: fetch::Job) -> Result<Fetched, GitError> {
        let url = job.url.to_string();
        let stopped = || GitError::Stopped { url: url.clone() };
        let slot = self.0.slots.clone().acquire_owned().await.map_err(|_| stopped())?;
        let inner = self.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            // Held by the thread, so that it bounds threads and not callers.
            let _slot = slot;
            inner.run(&job)
        });
        task.await.map_err(|_| stopped())?
    }

    /// The mirror of `url` as an earlier fetch left it, without touching the network; none if there is none.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn mirror(&self, url: &RepositoryUrl) -> Result<Option<Mirror>, GitError> {
        self.0.mirror(url)
    }

    fn job(&self, url: &RepositoryUrl, pulls: &BTreeSet<u64>, after: Duration) -> fetch::Job {
        fetch::Job {
            url: url.clone(),
            path: self.0.path(url),
            reach: Arc::clone(&self.0.reach),
            pulls: pulls.clone(),
            deadline: Instant::now() + after,
            after,
            limit: self.0.settings.max_fetch_bytes,
        }
    }
}

impl Inner {
    fn run(&self, job: &fetch::Job) -> Result<Fetched, GitError> {
        let credential = self.settings.credential(&job.url)?;
        let done = fetch::run(job, &credential)?;
        if done.remade {
            self.forget(&job.url);
        }
        let mirror = self
            .mirror(&job.url)?
            .ok_or_else(|| GitError::Missing { what: "repository", id: job.path.display().to_string() })?;
        Ok(Fetched { mirror, listing: done.listing, changed: done.changed })
    }

    /// Refs are written last, so a mirror without any was never fetched to its end.
    fn deadline(&self, url: &RepositoryUrl) -> Duration {
        let heads = self.path(url).join("refs/heads");
        let fetched = std::fs::read_dir(heads).is_ok_and(|mut heads| heads.next().is_some());
        self.settings.deadline.saturating_mul(if fetched { 1 } else { FIRST_FETCH })
    }

    fn mirror(&self, url: &RepositoryUrl) -> Result<Option<Mirror>, GitError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = open.get(url) {
            return Ok(Some(mirror.clone()));
        }
        let mirror = Mirror::open(&self.path(url))?;
        if let Some(mirror) = &mirror {
            open.insert(url.clone(), mirror.clone());
        }
        Ok(mirror)
    }

    fn forget(&self, url: &RepositoryUrl) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }

    /// `<last part of the address>-<hash of it>.git`: readable, and distinct however alike two addresses are.
    fn path(&self, url: &RepositoryUrl) -> PathBuf {
        let last = url.as_str().rsplit('/').next().unwrap_or_default().trim_end_matches(".git");
        let readable: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        self.folder.join(format!("{readable}-{}.git", short_hash(&[url.as_str()], 16)))
    }
}
