//! The files of one commit, for the renderer and the loader: a [`FileSystem`] over the object database.
//!
//! A repository's content is its author's: links never lead out of the tree or in circles, submodules and devices do
//! not exist, names that are not UTF-8 are not listed, and no blob is read before its size is known.

use super::Mirror;
use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};
use lapdev_kustomize::{FileKind, FileSystem, Found, TreePath};
use std::io;

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 32 << 20;
/// As many links as Linux follows.
const MAX_LINKS: usize = 40;
/// No file system has a longer path.
const MAX_TARGET: usize = 4096;
const LINK: i32 = 0o120_000;

/// The files of one commit.
#[derive(Debug, Clone)]
pub struct GitTree {
    mirror: Mirror,
    root: Oid,
}

/// What a real path names.
enum Entry {
    Directory(Oid),
    File(Oid),
    Link(Oid),
}

impl GitTree {
    pub(super) fn new(mirror: Mirror, root: Oid) -> Self {
        Self { mirror, root }
    }

    /// The content of a file, links followed; none if there is no such file.
    ///
    /// # Errors
    /// If it is larger than [`MAX_FILE`], or the mirror is damaged.
    pub fn file(&self, path: &TreePath) -> io::Result<Option<Vec<u8>>> {
        match self.find(path)? {
            Some(Found { path, kind: FileKind::File }) => self.read(&path).map(Some),
            _ => Ok(None),
        }
    }

    /// The tree's own id: equal trees have equal content, whatever their commits.
    #[must_use]
    pub fn id(&self) -> String {
        self.root.to_string()
    }

    fn error(&self, attempt: &'static str, source: git2::Error) -> io::Error {
        io::Error::other(self.mirror.failed(attempt, source))
    }

    fn resolve(&self, repository: &Repository, path: &TreePath) -> Result<Option<(TreePath, Entry)>, git2::Error> {
        let mut pending: Vec<String> = path.as_str().split('/').rev().map(str::to_owned).collect();
        let mut real = TreePath::root();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if matches!(part.as_str(), "" | ".") {
                continue;
            }
            let Some(next) = real.join(&part) else {
                return Ok(None);
            };
            match self.entry(repository, &next)? {
                Some(Entry::Link(id)) => {
                    links += 1;
                    let target = link_target(repository, id)?.filter(|_| links <= MAX_LINKS);
                    let Some(target) = target else {
                        return Ok(None);
                    };
                    pending.extend(target.split('/').rev().map(str::to_owned));
                }
                Some(Entry::File(_)) if !pending.is_empty() => return Ok(None),
                Some(_) => real = next,
                None => return Ok(None),
            }
        }
        Ok(self.entry(repository, &real)?.map(|entry| (real, entry)))
    }

    /// What is at a path whose folders are real.
    fn entry(&self, repository: &Repository, path: &TreePath) -> Result<Option<Entry>, git2::Error> {
        if path.as_str().is_empty() {
            return Ok(Some(Entry::Directory(self.root)));
        }
        let found = match repository.find_tree(self.root)?.get_path(path.as_str().as_ref()) {
            Ok(found) => found,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(match (found.kind(), found.filemode()) {
            (Some(ObjectType::Tree), _) => Some(Entry::Directory(found.id())),
            (Some(ObjectType::Blob), LINK) => Some(Entry::Link(found.id())),
            (Some(ObjectType::Blob), _) => Some(Entry::File(found.id())),
            // A submodule: another repository, which nobody asked us to read.
            _ => None,
        })
    }
}

/// Where a link leads, relative to its folder; none for one that cannot lead to a place inside the tree.
fn link_target(repository: &Repository, id: Oid) -> Result<Option<String>, git2::Error> {
    if repository.odb()?.read_header(id)?.0 > MAX_TARGET {
        return Ok(None);
    }
    let blob = repository.find_blob(id)?;
    let target = std::str::from_utf8(blob.content()).ok().filter(|t| !t.is_empty() && !t.starts_with('/'));
    Ok(target.map(str::to_owned))
}

impl FileSystem for GitTree {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        let repository = self.mirror.lock();
        let found = self.resolve(&repository, path).map_err(|e| self.error("look up a path", e))?;
        Ok(found.map(|(path, entry)| {
            let kind = if matches!(entry, Entry::Directory(_)) { FileKind::Directory } else { FileKind::File };
            Found { path, kind }
        }))
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        let repository = self.mirror.lock();
        let failed = |e| self.error("read a file", e);
        let Some(Entry::File(id)) = self.entry(&repository, path).map_err(failed)? else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (size, _) = repository.odb().and_then(|odb| odb.read_header(id)).map_err(failed)?;
        if size > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(repository.find_blob(id).map_err(failed)?.content().to_vec())
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        let repository = self.mirror.lock();
        let failed = |e| self.error("list a folder", e);
        let Some(Entry::Directory(id)) = self.entry(&repository, path).map_err(failed)? else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let tree: Tree<'_> = repository.find_tree(id).map_err(failed)?;
        Ok(tree.iter().filter_map(|entry| entry.name().ok().map(str::to_owned)).collect())
    }
}
