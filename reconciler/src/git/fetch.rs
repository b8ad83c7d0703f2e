//! One fetch, blocking: connect, read the whole listing, download what is missing, then write the refs.
//!
//! Refs are written by hand and last, from the listing itself, so that they are never ahead of the objects and a killed
//! or overdue fetch leaves those of before.

use super::{
    GitError, Listing, RepositoryUrl,
    listing::{ByName, HEADS, Heads, pull_number, pull_ref},
    repair,
    transport::{self, HttpError, Reach, Session},
};
use git2::{AutotagOption, Direction, FetchOptions, RemoteCallbacks, Repository};
use lapdev_api::name::Commit;
use std::{
    cell::Cell,
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What to fetch, and how long and how much at most.
pub(super) struct Job {
    pub url: RepositoryUrl,
    pub path: PathBuf,
    pub reach: Arc<Reach>,
    pub pulls: BTreeSet<u64>,
    pub deadline: Instant,
    pub after: Duration,
    pub limit: u64,
}

/// A fetch that ended well.
pub(super) struct Done {
    pub listing: Listing,
    pub changed: bool,
    /// The mirror's folder is another than before.
    pub remade: bool,
}

type Credential = Option<(String, String)>;

/// Runs a job to its end, in the calling thread.
pub(super) fn run(job: &Job, credential: &Credential) -> Result<Done, GitError> {
    let mut session = Session::new(&job.reach, job.deadline);
    if let Some((user, token)) = credential {
        session = session.with_token(job.url.as_str(), user, token);
    }
    let session = Arc::new(session);
    transport::within(&session, || job.bring_up_to_date(&session))
}

/// Fetches one commit without its history, or with everything from a server that gives out no single ones. Without
/// credentials, and not from another host that it leads on to. The commit may still be missing afterwards.
pub(super) fn commit(job: &Job, id: &Commit) -> Result<(), GitError> {
    let opened = repair::open_or_make(&job.path)?;
    let alone = [format!("+{id}:refs/heads/base")];
    let all = ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:refs/{kind}/*"));
    match job.download(&opened.repository, &alone, 1) {
        Err(GitError::Remote { .. }) => job.download(&opened.repository, &all, 0),
        done => done,
    }
}

/// Why a callback stopped libgit2, which itself only says that one did.
#[derive(Clone, Copy)]
enum Abort {
    Deadline,
    TooMuch,
}

fn callbacks<'a>(job: &'a Job, aborted: &'a Cell<Option<Abort>>) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(move |progress| {
        if progress.received_bytes() as u64 > job.limit {
            aborted.set(Some(Abort::TooMuch));
            return false;
        }
        job.goes_on(aborted)
    });
    callbacks.sideband_progress(move |_| job.goes_on(aborted));
    callbacks
}

impl Job {
    fn bring_up_to_date(&self, session: &Session) -> Result<Done, GitError> {
        let opened = repair::open_or_make(&self.path)?;
        let repository = &opened.repository;
        let aborted = Cell::new(None);
        let failed = |source| self.explain(source, aborted.get(), session);

        let mut remote = repository.remote_anonymous(self.url.as_str()).map_err(failed)?;
        let callbacks = || callbacks(self, &aborted);
        let mut connection = remote.connect_auth(Direction::Fetch, Some(callbacks()), None).map_err(failed)?;
        let theirs = Heads::read(connection.list().map_err(failed)?, &self.pulls).map_err(failed)?;
        let ours = self.own_refs(repository)?;
        if theirs.branches.is_empty() && ours.keys().any(|name| name.starts_with(HEADS)) {
            let had = ours.keys().filter(|name| name.starts_with(HEADS)).count();
            return Ok(Done { listing: Listing::Suspicious { had }, changed: false, remade: opened.remade });
        }
        let wanted = theirs.by_name();
        let changed = wanted != ours;
        if changed {
            let mut options = FetchOptions::new();
            options.remote_callbacks(callbacks());
            options.download_tags(AutotagOption::None).update_fetchhead(false);
            connection.remote().download(&self.refspecs(&theirs), Some(&mut options)).map_err(failed)?;
            self.write_refs(repository, &ours, &wanted)?;
        }
        Ok(Done { listing: Listing::Complete(theirs.into_refs()), changed, remade: opened.remade })
    }

    fn goes_on(&self, aborted: &Cell<Option<Abort>>) -> bool {
        let in_time = Instant::now() < self.deadline;
        if !in_time {
            aborted.set(Some(Abort::Deadline));
        }
        in_time
    }

    fn download(&self, repository: &Repository, refspecs: &[String], depth: i32) -> Result<(), GitError> {
        let session = Arc::new(Session::new(&self.reach, self.deadline));
        let aborted = Cell::new(None);
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks(self, &aborted)).depth(depth);
        options.download_tags(AutotagOption::None).update_fetchhead(false);
        let done = transport::within(&session, || {
            let mut remote = repository.remote_anonymous(self.url.as_str())?;
            remote.download(refspecs, Some(&mut options))
        });
        done.map_err(|source| self.explain(source, aborted.get(), &session))
    }

    fn explain(&self, source: git2::Error, aborted: Option<Abort>, session: &Session) -> GitError {
        let url = self.url.to_string();
        match (aborted, session.failure()) {
            (Some(Abort::TooMuch), _) => GitError::TooMuch { url, limit: self.limit },
            (Some(Abort::Deadline), _) | (None, Some(HttpError::Deadline)) => {
                GitError::Deadline { url, after: self.after }
            }
            (None, Some(HttpError::Silent(after))) => GitError::Deadline { url, after },
            (None, Some(HttpError::Unauthorized)) => GitError::Unauthorized { url },
            (None, Some(HttpError::Untrusted(source))) => GitError::Untrusted { url, source },
            (None, Some(failure)) => GitError::Remote { url, source: failure.into() },
            (None, None) => GitError::Remote { url, source: source.into() },
        }
    }

    fn mirror_failed(&self, attempt: &'static str) -> impl Fn(git2::Error) -> GitError {
        let path = self.path.clone();
        move |source| GitError::Mirror { attempt, path: path.clone(), source }
    }

    /// The refs of the mirror that this job is about.
    fn own_refs(&self, repository: &Repository) -> Result<ByName, GitError> {
        let failed = self.mirror_failed("list refs");
        let mut ours = ByName::new();
        for reference in repository.references().map_err(&failed)? {
            let reference = reference.map_err(&failed)?;
            if let (Ok(name), Some(target)) = (reference.name(), reference.target())
                && (name.starts_with(HEADS) || pull_number(name).is_some_and(|n| self.pulls.contains(&n)))
            {
                ours.insert(name.to_owned(), target);
            }
        }
        Ok(ours)
    }

    fn refspecs(&self, theirs: &Heads) -> Vec<String> {
        let pulls = theirs.pulls.keys().map(|n| format!("+{0}:{0}", pull_ref(*n)));
        std::iter::once(format!("+{HEADS}*:{HEADS}*")).chain(pulls).collect()
    }

    /// Makes the mirror's refs those of the listing. One fetch at a time, and none after its deadline: a later fetch
    /// may have come first.
    fn write_refs(&self, repository: &Repository, ours: &ByName, wanted: &ByName) -> Result<(), GitError> {
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if Instant::now() >= self.deadline {
            return Err(GitError::Deadline { url: self.url.to_string(), after: self.after });
        }
        let failed = self.mirror_failed("write refs");
        // Removals first: `a` must go before `a/b` can come.
        for name in ours.keys().filter(|name| !wanted.contains_key(*name)) {
            repository.find_reference(name).and_then(|mut r| r.delete()).map_err(&failed)?;
        }
        for (name, id) in wanted.iter().filter(|(name, id)| ours.get(*name) != Some(*id)) {
            repository.find_commit(*id).map_err(&failed)?;
            repository.reference(name, *id, true, "fetch").map_err(&failed)?;
        }
        Ok(())
    }
}
