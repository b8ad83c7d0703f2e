//! The bare repositories on disk: their branches, commits and merges, by libgit2.

use super::error::DoubleError;
use git2::{BranchType, Commit, Delta, Oid, Repository, RepositoryInitOptions, Signature, build::TreeUpdateBuilder};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// GitHub lists at most this many commits in a push.
const MOST_COMMITS: usize = 2048;

/// Creates an empty bare repository whose default branch is `main`.
pub(super) fn create(path: &Path) -> Result<(), DoubleError> {
    Repository::init_opts(path, RepositoryInitOptions::new().bare(true).mkpath(true).initial_head("main"))?;
    Ok(())
}

/// Copies a repository with all of its branches.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), DoubleError> {
    create(to)?;
    let refspec = "+refs/heads/*:refs/heads/*";
    Repository::open(to)?.remote_anonymous(&from.to_string_lossy())?.fetch(&[refspec], None, None)?;
    Repository::open(to)?.set_head(&format!("refs/heads/{}", default_branch(from)?))?;
    Ok(())
}

/// The branch that HEAD names, existing or not.
pub(super) fn default_branch(path: &Path) -> Result<String, DoubleError> {
    let repository = Repository::open(path)?;
    let head = repository.find_reference("HEAD")?;
    let target = head.symbolic_target().ok().flatten().unwrap_or("refs/heads/main");
    Ok(target.trim_start_matches("refs/heads/").to_owned())
}

/// Every branch and its commit.
pub(super) fn branches(path: &Path) -> Result<BTreeMap<String, String>, DoubleError> {
    let repository = Repository::open(path)?;
    let mut branches = BTreeMap::new();
    for reference in repository.references_glob("refs/heads/*")? {
        let reference = reference?;
        let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
        if let Some(target) = reference.target() {
            branches.insert(name.trim_start_matches("refs/heads/").to_owned(), target.to_string());
        }
    }
    Ok(branches)
}

/// Whether a branch that moved from one commit to the other lost some.
pub(super) fn is_forced(path: &Path, before: &str, after: &str) -> bool {
    let descends = || {
        let (before, after) = (Oid::from_str(before)?, Oid::from_str(after)?);
        Repository::open(path)?.graph_descendant_of(after, before)
    };
    !descends().unwrap_or(false)
}

/// Whether there is such a commit.
pub(super) fn has_commit(path: &Path, sha: &str) -> bool {
    let found = || Repository::open(path)?.find_commit(Oid::from_str(sha)?).map(|_| ());
    found().is_ok()
}

/// Makes `refs/pull/<number>/head` point to the head of a pull request, whose objects may be in a fork.
pub(super) fn pull_ref(base: &Path, head: &Path, number: u64, sha: &str) -> Result<(), DoubleError> {
    let repository = Repository::open(base)?;
    let oid = Oid::from_str(sha)?;
    if base != head && repository.find_commit(oid).is_err() {
        let refspec = format!("+refs/heads/*:refs/double/{number}/*");
        repository.remote_anonymous(&head.to_string_lossy())?.fetch(&[refspec], None, None)?;
    }
    repository.reference(&format!("refs/pull/{number}/head"), oid, true, "pull request")?;
    Ok(())
}

/// Commits files (none: deleted) to a branch, which is made from the default branch if it is new.
pub(super) fn commit(
    path: &Path,
    branch: &str,
    files: &BTreeMap<String, Option<String>>,
    message: &str,
) -> Result<String, DoubleError> {
    let repository = Repository::open(path)?;
    let parent = tip(&repository, branch).or_else(|| tip(&repository, &default_branch(path).ok()?));
    let mut update = TreeUpdateBuilder::new();
    for (name, content) in files {
        match content {
            Some(content) => update.upsert(name.as_str(), repository.blob(content.as_bytes())?, git2::FileMode::Blob),
            None => update.remove(name.as_str()),
        };
    }
    let before = match &parent {
        Some(parent) => parent.tree()?,
        None => repository.find_tree(repository.treebuilder(None)?.write()?)?,
    };
    let tree = repository.find_tree(update.create_updated(&repository, &before)?)?;
    let parents: Vec<&Commit<'_>> = parent.iter().collect();
    let author = author()?;
    let oid = repository.commit(None, &author, &author, message, &tree, &parents)?;
    repository.reference(&format!("refs/heads/{branch}"), oid, true, message)?;
    Ok(oid.to_string())
}

/// Merges `head` into the branch `base` with a commit of two parents.
pub(super) fn merge(path: &Path, base: &str, head: &str, message: &str) -> Result<String, DoubleError> {
    let repository = Repository::open(path)?;
    let ours = tip(&repository, base).ok_or_else(|| DoubleError::Unknown(format!("branch {base}")))?;
    let theirs = repository.find_commit(Oid::from_str(head)?)?;
    let mut index = repository.merge_commits(&ours, &theirs, None)?;
    if index.has_conflicts() {
        return Err(DoubleError::Refused("Pull Request is not mergeable".to_owned()));
    }
    let tree = repository.find_tree(index.write_tree_to(&repository)?)?;
    let author = author()?;
    let oid = repository.commit(None, &author, &author, message, &tree, &[&ours, &theirs])?;
    repository.reference(&format!("refs/heads/{base}"), oid, true, "merge")?;
    Ok(oid.to_string())
}

/// The commits of a push, oldest first, in the shape that GitHub's `push` event has.
pub(super) fn pushed_commits(path: &Path, before: Option<&str>, after: &str, html: &str) -> Vec<Value> {
    let list = || -> Result<Vec<Value>, git2::Error> {
        let repository = Repository::open(path)?;
        let mut walk = repository.revwalk()?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE)?;
        walk.push(Oid::from_str(after)?)?;
        match before {
            Some(before) => walk.hide(Oid::from_str(before)?)?,
            // A new branch brings what no other branch has; that is at least its tip.
            None => hide_others(&repository, &mut walk, after)?,
        }
        walk.take(MOST_COMMITS).map(|oid| describe(&repository, &repository.find_commit(oid?)?, html)).collect()
    };
    list().unwrap_or_default()
}

/// One commit in the shape of a `push` event's `head_commit`.
pub(super) fn head_commit(path: &Path, sha: &str, html: &str) -> Value {
    let find = || -> Result<Value, git2::Error> {
        let repository = Repository::open(path)?;
        let commit = repository.find_commit(Oid::from_str(sha)?)?;
        describe(&repository, &commit, html)
    };
    find().unwrap_or(Value::Null)
}

fn hide_others(repository: &Repository, walk: &mut git2::Revwalk<'_>, after: &str) -> Result<(), git2::Error> {
    for branch in repository.branches(Some(BranchType::Local))? {
        let target = branch?.0.get().target();
        if let Some(target) = target.filter(|target| target.to_string() != after) {
            walk.hide(target)?;
        }
    }
    Ok(())
}

fn describe(repository: &Repository, commit: &Commit<'_>, html: &str) -> Result<Value, git2::Error> {
    let parent = commit.parent(0).and_then(|parent| parent.tree()).ok();
    let diff = repository.diff_tree_to_tree(parent.as_ref(), Some(&commit.tree()?), None)?;
    let paths = |kinds: &[Delta]| -> Vec<String> {
        let of_kind = diff.deltas().filter(|delta| kinds.contains(&delta.status()));
        let path = |delta: git2::DiffDelta<'_>| Some(delta.new_file().path()?.to_string_lossy().into_owned());
        of_kind.filter_map(path).collect()
    };
    let person = |person: &Signature<'_>| {
        json!({
            "name": String::from_utf8_lossy(person.name_bytes()),
            "email": String::from_utf8_lossy(person.email_bytes()),
        })
    };
    let time = jiff::Timestamp::from_second(commit.time().seconds()).unwrap_or_default();
    Ok(json!({
        "id": commit.id().to_string(),
        "tree_id": commit.tree_id().to_string(),
        "distinct": true,
        "message": String::from_utf8_lossy(commit.message_bytes()),
        "timestamp": time.to_string(),
        "url": format!("{html}/commit/{}", commit.id()),
        "author": person(&commit.author()),
        "committer": person(&commit.committer()),
        "added": paths(&[Delta::Added]),
        "removed": paths(&[Delta::Deleted]),
        "modified": paths(&[Delta::Modified, Delta::Renamed, Delta::Typechange]),
    }))
}

fn tip<'a>(repository: &'a Repository, branch: &str) -> Option<Commit<'a>> {
    repository.find_reference(&format!("refs/heads/{branch}")).ok()?.peel_to_commit().ok()
}

fn author() -> Result<Signature<'static>, git2::Error> {
    Signature::now("The Double", "double@example.com")
}
