//! Reads from a mirror's object database. Blocking, local, never the network.

use super::{GitError, GitTree, listing::commit};
use crate::load::Globs;
use git2::{Diff, DiffOptions, ErrorCode, ObjectType, Oid, Repository, Tree};
use lapdev_api::name::Commit;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A local, bare copy of a repository. Clones share one open handle, one read at a time.
#[derive(Clone)]
pub struct Mirror {
    path: PathBuf,
    repository: Arc<Mutex<Repository>>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mirror").field(&self.path).finish()
    }
}

impl Mirror {
    /// Opens what is at `path`; none if nothing is.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, GitError> {
        match Repository::open_bare(path) {
            Ok(repository) => Ok(Some(Self { path: path.to_owned(), repository: Arc::new(Mutex::new(repository)) })),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(GitError::Mirror { attempt: "open it", path: path.to_owned(), source }),
        }
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// If the mirror does not hold the commit.
    pub fn tree(&self, id: &Commit) -> Result<GitTree, GitError> {
        let root = self.find(&self.lock(), id)?.tree_id();
        Ok(GitTree::new(self.clone(), root))
    }

    /// The newest commit that both descend from; none if their histories have nothing in common.
    ///
    /// # Errors
    /// If the mirror does not hold one of them.
    pub fn merge_base(&self, a: &Commit, b: &Commit) -> Result<Option<Commit>, GitError> {
        let repository = self.lock();
        let (a, b) = (self.find(&repository, a)?.id(), self.find(&repository, b)?.id());
        match repository.merge_base(a, b) {
            Ok(id) => Ok(Some(commit(id))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(self.failed("find a merge base", source)),
        }
    }

    /// Every path that differs between two commits, sorted; of a renamed file both names.
    ///
    /// # Errors
    /// If the mirror does not hold one of them.
    pub fn changed_paths(&self, base: &Commit, head: &Commit) -> Result<Vec<String>, GitError> {
        let repository = self.lock();
        let (base, head) = (self.find(&repository, base)?, self.find(&repository, head)?);
        let failed = |source| self.failed("compare two commits", source);
        let (old, new) = (base.tree().map_err(failed)?, head.tree().map_err(failed)?);
        let diff = difference(&repository, Some(&old), Some(&new)).map_err(failed)?;
        let paths: BTreeSet<String> = paths(&diff).collect();
        Ok(paths.into_iter().collect())
    }

    /// The newest commit, `head` or before it, that changed a file which the globs match: what
    /// `git log -1 head -- <paths>` finds. None if no commit did, or none of the `limit` that were looked at.
    ///
    /// # Errors
    /// If the mirror does not hold `head`.
    pub fn last_commit_touching(&self, head: &Commit, globs: &Globs, limit: usize) -> Result<Option<Commit>, GitError> {
        let repository = self.lock();
        let mut current = self.find(&repository, head)?;
        let failed = |source| self.failed("walk the history", source);
        for _ in 0..limit {
            let mut same = None;
            for parent in current.parents() {
                if !touches(&repository, Some(&parent), &current, globs).map_err(failed)? {
                    same = Some(parent);
                    break;
                }
            }
            // As git does: a merge is followed to the parent that already had these very files.
            match same {
                Some(parent) => current = parent,
                None if current.parent_count() > 0 => return Ok(Some(commit(current.id()))),
                None => {
                    let added = touches(&repository, None, &current, globs).map_err(failed)?;
                    return Ok(added.then(|| commit(current.id())));
                }
            }
        }
        Ok(None)
    }

    /// Whether the mirror holds this commit.
    #[must_use]
    pub fn has(&self, id: &Commit) -> bool {
        self.find(&self.lock(), id).is_ok()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Repository> {
        // A panic in another reader leaves libgit2's handle as usable as before.
        self.repository.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, attempt: &'static str, source: git2::Error) -> GitError {
        match source.code() {
            ErrorCode::NotFound => GitError::Missing { what: "object", id: source.message().to_owned() },
            _ => GitError::Mirror { attempt, path: self.path.clone(), source },
        }
    }

    fn find<'r>(&self, repository: &'r Repository, id: &Commit) -> Result<git2::Commit<'r>, GitError> {
        let missing = || GitError::Missing { what: "commit", id: id.to_string() };
        let oid = Oid::from_str(id.as_str()).map_err(|_| missing())?;
        let object = repository.find_object(oid, None).map_err(|source| match source.code() {
            ErrorCode::NotFound => missing(),
            _ => self.failed("read a commit", source),
        })?;
        match object.kind() {
            Some(ObjectType::Commit) => object.into_commit().map_err(|_| missing()),
            _ => Err(missing()),
        }
    }
}

fn difference<'r>(
    repository: &'r Repository,
    old: Option<&Tree<'_>>,
    new: Option<&Tree<'_>>,
) -> Result<Diff<'r>, git2::Error> {
    let mut options = DiffOptions::new();
    // Without it a file that becomes a link or a folder would count as two changes of other kinds.
    options.include_typechange(true);
    repository.diff_tree_to_tree(old, new, Some(&mut options))
}

fn paths(diff: &Diff<'_>) -> impl Iterator<Item = String> {
    diff.deltas()
        .flat_map(|delta| {
            let path = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
            [path(delta.old_file().path_bytes()), path(delta.new_file().path_bytes())]
        })
        .flatten()
}

fn touches(
    repository: &Repository,
    parent: Option<&git2::Commit<'_>>,
    child: &git2::Commit<'_>,
    globs: &Globs,
) -> Result<bool, git2::Error> {
    let old = parent.map(git2::Commit::tree).transpose()?;
    let diff = difference(repository, old.as_ref(), Some(&child.tree()?))?;
    Ok(paths(&diff).any(|path| globs.matches(&path)))
}
