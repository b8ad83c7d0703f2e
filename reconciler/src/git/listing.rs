//! Reading a remote's listing: which refs count, which are left out, and what `HEAD` means. The remote chooses the
//! names, so none is trusted.

use super::Refs;
use git2::{Oid, Reference, RemoteHead};
use lapdev_api::name::{BranchRef, Commit};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

pub(super) const HEADS: &str = "refs/heads/";
/// A remote with more unreadable branch names than this is not worth listening to.
const MAX_ILLEGAL: usize = 100;

/// Full ref names and what they point to.
pub(super) type ByName = BTreeMap<String, Oid>;

pub(super) fn pull_ref(number: u64) -> String {
    format!("refs/pull/{number}/head")
}

pub(super) fn pull_number(name: &str) -> Option<u64> {
    name.strip_prefix("refs/pull/")?.strip_suffix("/head")?.parse().ok()
}

/// A complete listing, still with libgit2's ids.
#[derive(Default)]
pub(super) struct Heads {
    pub branches: BTreeMap<BranchRef, Oid>,
    pub pulls: BTreeMap<u64, Oid>,
    default_branch: Option<BranchRef>,
    illegal: usize,
}

impl Heads {
    /// Reads what a connection listed; of the pull requests those that are wanted.
    pub fn read(list: &[RemoteHead<'_>], wanted: &BTreeSet<u64>) -> Result<Self, git2::Error> {
        let mut heads = Self::default();
        for entry in list {
            match name_and_target(entry) {
                // A server without symref support says only where it stands. The branches that stand there as well are no
                // answer: one that was merged would become the default branch, and lose its environment.
                Some((name, target)) if name == "HEAD" => {
                    heads.default_branch = target.and_then(|target| target.strip_prefix(HEADS)?.parse().ok());
                }
                Some((name, _)) => heads.add(&name, entry.oid(), wanted),
                None => heads.illegal += 1,
            }
            if heads.illegal > MAX_ILLEGAL {
                return Err(git2::Error::from_str("too many branches with names that are not legal"));
            }
        }
        Ok(heads)
    }

    fn add(&mut self, name: &str, id: Oid, wanted: &BTreeSet<u64>) {
        if let Some(branch) = name.strip_prefix(HEADS) {
            match branch.parse() {
                Ok(branch) if Reference::is_valid_name(name) => drop(self.branches.insert(branch, id)),
                _ => self.illegal += 1,
            }
        } else if let Some(number) = pull_number(name).filter(|n| wanted.contains(n)) {
            self.pulls.insert(number, id);
        }
    }

    pub fn by_name(&self) -> ByName {
        let branches = self.branches.iter().map(|(name, id)| (format!("{HEADS}{name}"), *id));
        branches.chain(self.pulls.iter().map(|(number, id)| (pull_ref(*number), *id))).collect()
    }

    pub fn into_refs(self) -> Refs {
        let branches = self.branches.into_iter().map(|(name, id)| (name, commit(id))).collect();
        let pulls = self.pulls.into_iter().map(|(number, id)| (number, commit(id))).collect();
        Refs::new(branches, pulls, self.default_branch, self.illegal)
    }
}

/// git2 panics on a name that is not UTF-8 and has no other way to read it; the remote chooses its names.
fn name_and_target(head: &RemoteHead<'_>) -> Option<(String, Option<String>)> {
    let read = || (head.name().to_owned(), head.symref_target().map(str::to_owned));
    catch_unwind(AssertUnwindSafe(read)).ok()
}

pub(super) fn commit(id: Oid) -> Commit {
    id.to_string().parse().expect("an object id is 40 lower-case hexadecimal digits")
}
