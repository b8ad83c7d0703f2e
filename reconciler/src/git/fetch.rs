//! One fetch, blocking: connect, read the whole listing, download what is missing, then write the refs.
//!
//! Refs are written by hand and last, from the listing itself, so that they are never ahead of the objects and a killed
//! or overdue fetch leaves those of before.

use super::{
    GitError, Listing, RepositoryUrl,
    listing::{ByName, HEADS, Heads, pull_number, pull_ref},
    repair,
};
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions,
    ProxyOptions, RemoteCallbacks, RemoteRedirect, Repository,
};
use lapdev_api::name::Commit;
use std::{
    cell::Cell,
    collections::BTreeSet,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

/// What to fetch, and how long and how much at most.
pub(super) struct Job {
    pub url: RepositoryUrl,
    pub path: PathBuf,
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
    let opened = repair::open_or_make(&job.path)?;
    let repository = &opened.repository;
    let aborted = Cell::new(None);
    let callbacks = || callbacks(job, credential, &aborted);
    let failed = |source| job.explain(source, aborted.get());

    let mut remote = repository.remote_anonymous(job.url.as_str()).map_err(failed)?;
    let mut connection = remote.connect_auth(Direction::Fetch, Some(callbacks()), Some(proxy())).map_err(failed)?;
    let theirs = Heads::read(connection.list().map_err(failed)?, &job.pulls).map_err(failed)?;
    let ours = job.own_refs(repository)?;
    if theirs.branches.is_empty() && ours.keys().any(|name| name.starts_with(HEADS)) {
        let had = ours.keys().filter(|name| name.starts_with(HEADS)).count();
        return Ok(Done { listing: Listing::Suspicious { had }, changed: false, remade: opened.remade });
    }
    let wanted = theirs.by_name();
    let changed = wanted != ours;
    if changed {
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks()).proxy_options(proxy());
        options.download_tags(AutotagOption::None).update_fetchhead(false);
        connection.remote().download(&job.refspecs(&theirs), Some(&mut options)).map_err(failed)?;
        job.write_refs(repository, &ours, &wanted)?;
    }
    Ok(Done { listing: Listing::Complete(theirs.into_refs()), changed, remade: opened.remade })
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
    Unauthorized,
}

fn callbacks<'a>(job: &'a Job, credential: &'a Credential, aborted: &'a Cell<Option<Abort>>) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let asked = Cell::new(false);
    callbacks.credentials(move |_, _, allowed| match credential {
        // Asked twice: the first answer was refused.
        Some((user, token)) if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) && !asked.replace(true) => {
            Cred::userpass_plaintext(user, token)
        }
        _ => {
            aborted.set(Some(Abort::Unauthorized));
            Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "no credential is accepted"))
        }
    });
    callbacks.transfer_progress(move |progress| {
        if progress.received_bytes() as u64 > job.limit {
            aborted.set(Some(Abort::TooMuch));
            return false;
        }
        job.goes_on(aborted)
    });
    callbacks.sideband_progress(move |_| job.goes_on(aborted));
    callbacks.certificate_check(|_, _| Ok(CertificateCheckStatus::CertificatePassthrough));
    callbacks
}

fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

impl Job {
    fn goes_on(&self, aborted: &Cell<Option<Abort>>) -> bool {
        let in_time = Instant::now() < self.deadline;
        if !in_time {
            aborted.set(Some(Abort::Deadline));
        }
        in_time
    }

    fn download(&self, repository: &Repository, refspecs: &[String], depth: i32) -> Result<(), GitError> {
        let aborted = Cell::new(None);
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks(self, &None, &aborted)).proxy_options(proxy()).depth(depth);
        options.download_tags(AutotagOption::None).update_fetchhead(false).follow_redirects(RemoteRedirect::None);
        let remote = repository.remote_anonymous(self.url.as_str());
        let done = remote.and_then(|mut remote| remote.download(refspecs, Some(&mut options)));
        done.map_err(|source| self.explain(source, aborted.get()))
    }

    fn explain(&self, source: git2::Error, aborted: Option<Abort>) -> GitError {
        let url = self.url.to_string();
        match (aborted, source.code()) {
            (Some(Abort::Deadline), _) | (_, ErrorCode::Timeout) => GitError::Deadline { url, after: self.after },
            (Some(Abort::TooMuch), _) => GitError::TooMuch { url, limit: self.limit },
            (Some(Abort::Unauthorized), _) | (_, ErrorCode::Auth) => GitError::Unauthorized { url },
            (None, _) if source.class() == ErrorClass::Ssl => GitError::Untrusted { url, source },
            (None, _) => GitError::Remote { url, source },
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
