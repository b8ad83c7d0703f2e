//! Repositories, fetched by the user's own git, with its keys, helpers and proxies: one commit, no history, into the
//! cache. A commit that is asked for by its full id and is there already needs no network.
//!
//! Addresses and refs may be written by others. No password is asked for; nothing but HTTP, SSH and the disk is spoken;
//! no hook runs; one file cannot fill the disk; what is in the work tree is read through [`DiskFileSystem`], which
//! follows no link out of it.

use super::{
    cache::Cache,
    process::{ProcessError, limited, run},
};
use lapdev_kustomize::{DiskFileSystem, Repository};
use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Command;

/// The largest file, packed or not, that is written while fetching.
const MAX_FILE: u64 = 1 << 30;
/// The longest that an address may ask for.
const LONGEST: Duration = Duration::from_secs(3600);
const SUBMODULES: [&str; 5] = ["submodule", "-q", "update", "--init", "--recursive"];

/// A repository that could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// A ref that git would take for something else.
    #[error("{0:?} is not the name of a branch, a tag or a commit")]
    Ref(String),
    /// The cache cannot be used.
    #[error("cannot use the cache folder; check XDG_CACHE_HOME and that the disk is not full")]
    Cache(#[source] io::Error),
    /// git did not do it.
    #[error(transparent)]
    Git(#[from] ProcessError),
}

/// The files of a repository at its ref.
pub async fn fetch(repository: &Repository, cache: &Cache) -> Result<DiskFileSystem, GitError> {
    let reference = repository.reference.as_deref().unwrap_or("HEAD");
    check_ref(reference)?;
    let name = |commit: &str| match repository.submodules {
        true => commit.to_owned(),
        false => format!("{commit}-without-submodules"),
    };
    let pinned = repository.commit().map(|commit| name(&commit.to_ascii_lowercase()));
    let path = match pinned.and_then(|name| cache.get(&name)) {
        Some(path) => path,
        None => Checkout::new(repository, cache)?.run(reference, name).await?,
    };
    DiskFileSystem::open(path).map_err(GitError::Cache)
}

/// As strict as git's own rule for names, without what means more than a name.
fn check_ref(text: &str) -> Result<(), GitError> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || ":*?[\\^~+@{}".contains(c);
    match text.is_empty() || text.starts_with('-') || text.contains(odd) || text.contains("..") {
        true => Err(GitError::Ref(text.to_owned())),
        false => Ok(()),
    }
}

/// A work tree in the making.
struct Checkout<'c> {
    repository: &'c Repository,
    cache: &'c Cache,
    folder: tempfile::TempDir,
    patience: Duration,
    deadline: Instant,
}

impl<'c> Checkout<'c> {
    fn new(repository: &'c Repository, cache: &'c Cache) -> Result<Self, GitError> {
        let folder = cache.fresh().map_err(GitError::Cache)?;
        let patience = repository.timeout.min(LONGEST);
        Ok(Self { repository, cache, folder, patience, deadline: Instant::now() + patience })
    }

    async fn run(&self, reference: &str, name: impl Fn(&str) -> String) -> Result<PathBuf, GitError> {
        let url = self.repository.url.as_str();
        // An empty template has no hooks.
        self.git(&["init", "-q", "--template="]).await?;
        self.git(&["fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, reference]).await?;
        let commit = self.git(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"]).await?;
        let name = name(commit.trim());
        if let Some(path) = self.cache.get(&name) {
            return Ok(path);
        }
        self.git(&["checkout", "-q", "--detach", "FETCH_HEAD"]).await?;
        if self.repository.submodules && self.folder.path().join(".gitmodules").is_file() {
            // Their addresses may be relative to this one.
            self.git(&["remote", "add", "origin", url]).await?;
            self.git(&SUBMODULES).await?;
        }
        fs::remove_dir_all(self.folder.path().join(".git")).map_err(GitError::Cache)?;
        self.cache.keep(self.folder.path(), &name).map_err(GitError::Cache)
    }

    async fn git(&self, arguments: &[&str]) -> Result<String, GitError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ended = run(command(self.folder.path(), &self.repository.url, arguments), "git", left).await;
        let out = ended.map_err(|error| match error {
            // The user's own words, without the password in them.
            ProcessError::Failed { program, said } => {
                let mut shown = self.repository.clone();
                shown.reference = None;
                ProcessError::Failed { program, said: said.replace(&self.repository.url, &shown.to_string()) }
            }
            ProcessError::Late { program, .. } => ProcessError::Late { program, after: self.patience },
            other => other,
        })?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

fn command(folder: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = limited(OsStr::new("git"), MAX_FILE);
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"]).args(arguments);
    command.current_dir(folder);
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        command.env_remove(inherited);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true").env("SSH_ASKPASS", "true");
    // The user may name a repository of this disk; a repository may not, or it would show what the user alone may read.
    let disk = if arguments == SUBMODULES { "" } else { ":file" };
    command
        .env("GIT_ALLOW_PROTOCOL", format!("https:http:ssh{disk}"))
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("GCM_INTERACTIVE", "never")
        .env("LC_ALL", "C");
    let over_http = ["http://", "https://", "file://"].iter().any(|scheme| url.starts_with(scheme));
    if !over_http && !has_own_ssh() {
        command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
    }
    command
}

/// Whether the user chose how git calls ssh, which then stands, questions and all.
fn has_own_ssh() -> bool {
    let mut config = std::process::Command::new("git");
    config
        .args(["config", "--get", "core.sshCommand"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ["GIT_SSH", "GIT_SSH_COMMAND"].iter().any(|name| env::var_os(name).is_some())
        || config.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_asks_for_more_time_than_there_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::below(folder.path(), "repositories", "web").expect("it is made");
        for timeout in ["4000000000000000h", "2h"] {
            let url = format!("https://git.example.com/shop/web?timeout={timeout}");
            let repository = Repository::parse(&url).expect("a repository");
            let checkout = Checkout::new(&repository, &cache).expect("a folder to fill");
            assert_eq!(checkout.patience, LONGEST, "{timeout}");
        }
    }

    #[test]
    fn a_ref_is_a_name_and_no_option_or_pattern() {
        for good in ["main", "v1.2", "feature/x", "refs/pull/1/head", "0123abc", "HEAD"] {
            assert!(check_ref(good).is_ok(), "{good}");
        }
        for bad in ["", "--upload-pack=touch x", "-x", "a:b", "+a", "refs/heads/*", "a b", "a..b", "a^{commit}", "a\nb"]
        {
            assert!(check_ref(bad).is_err(), "{bad}");
        }
    }
}
