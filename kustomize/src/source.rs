//! Reading files for kustomizations: limits, UTF-8, and the restriction to a kustomization's directory.

use crate::error::{Error, Place, Problem};
use crate::fs::{FileKind, FileSystem, Found};
use crate::helm::Helm;
use crate::options::{LoadRestrictor, Options};
use crate::patch::Types;
use crate::path::TreePath;
use crate::remote::{Repository, Trees, is_web_file};
use crate::renderer::ParsedFiles;
use crate::resource::{self, Resource};

/// The tree that is rendered, with the caller's choices.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    pub fs: &'s dyn FileSystem,
    pub options: &'s Options,
    /// The types by which patches merge.
    pub types: &'s Types,
    /// What other renderings have read, if there are any.
    pub files: Option<&'s ParsedFiles>,
    /// What was fetched on the way.
    pub trees: &'s Trees<'s>,
    /// Who runs helm, if anybody may.
    pub helm: Option<&'s dyn Helm>,
}

impl Source<'_> {
    /// Follows a path; `place` is blamed if the file system fails.
    pub fn find(&self, path: &TreePath, place: &Place) -> Result<Option<Found>, Error> {
        let found = match (path.tree(), self.trees.of(path)) {
            (Some(tree), Some(fs)) => fs
                .find(&path.in_itself())
                .map(|found| found.map(|found| Found { path: found.path.in_tree(tree), kind: found.kind })),
            _ => self.fs.find(path),
        };
        found.map_err(|source| Error::new(place.clone(), Problem::Read(source)))
    }

    /// The bytes of a real path.
    pub fn bytes(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        let read = match self.trees.of(path) {
            Some(fs) => fs.read(&path.in_itself()),
            None => self.fs.read(path),
        };
        let bytes = read.map_err(|source| Error::new(Place::of(path), Problem::Read(source)))?;
        let limit = self.options.limits.file_bytes;
        match bytes.len() > limit {
            true => Err(Error::new(Place::of(path), Problem::TooLarge(limit, "bytes"))),
            false => Ok(bytes),
        }
    }

    /// The text of a real path.
    pub fn text(&self, path: &TreePath) -> Result<String, Error> {
        String::from_utf8(self.bytes(path)?).map_err(|_| Error::new(Place::of(path), Problem::NotUtf8))
    }

    /// The objects of a real path.
    pub fn objects(&self, path: &TreePath) -> Result<Vec<Resource>, Error> {
        self.objects_or(path, || resource::of_file(&self.text(path)?, path, &self.options.limits))
    }

    /// The objects of a real path that somebody else reads, if they are not known.
    pub fn objects_or(
        &self,
        path: &TreePath,
        read: impl FnOnce() -> Result<Vec<Resource>, Error>,
    ) -> Result<Vec<Resource>, Error> {
        match self.files {
            Some(files) => files.get_or(path, read),
            None => read(),
        }
    }

    /// The names in a real directory.
    pub fn list(&self, path: &TreePath) -> Result<Vec<String>, Error> {
        let names = match self.trees.of(path) {
            Some(fs) => fs.list(&path.in_itself()),
            None => self.fs.list(path),
        };
        names.map_err(|source| Error::new(Place::of(path), Problem::Read(source)))
    }

    /// The directory of a repository, fetched if need be.
    pub fn repository(&self, repository: &Repository, place: &Place) -> Result<TreePath, Error> {
        let path = self.trees.repository(repository, place, self.options.limits.remotes)?;
        match self.find(&path, place)? {
            Some(Found { path, kind: FileKind::Directory }) => Ok(path),
            _ => Err(Error::new(place.clone(), Problem::Missing(path.to_string()))),
        }
    }

    /// The file that a kustomization in `root` names. `Ok(None)` if nothing or no file is there.
    pub fn file(&self, root: &TreePath, name: &str, place: &Place) -> Result<Option<TreePath>, Error> {
        if is_web_file(name) {
            let limits = &self.options.limits;
            return self.trees.file(name, place, limits.remotes, limits.file_bytes).map(Some);
        }
        let Some(path) = root.join(name) else {
            return Err(Error::new(place.clone(), Problem::OutsideTree(name.to_owned())));
        };
        let Some(found) = self.find(&path, place)?.filter(|found| found.kind == FileKind::File) else {
            return Ok(None);
        };
        // Others wrote what was fetched: there the restriction cannot be lifted.
        let restricted = root.is_remote() || self.options.load_restrictor == LoadRestrictor::RootOnly;
        if restricted && !found.path.is_within(root) {
            return Err(Error::new(place.clone(), Problem::OutsideRoot(name.to_owned(), root.to_string())));
        }
        Ok(Some(found.path))
    }

    /// The same, where nothing else than a file will do.
    pub fn required_file(&self, root: &TreePath, name: &str, place: &Place) -> Result<TreePath, Error> {
        self.file(root, name, place)?.ok_or_else(|| Error::new(place.clone(), Problem::Missing(name.to_owned())))
    }

    /// The directory that a kustomization in `root` names.
    pub fn directory(&self, root: &TreePath, name: &str, place: &Place) -> Result<TreePath, Error> {
        let Some(path) = root.join(name) else {
            return Err(Error::new(place.clone(), Problem::OutsideTree(name.to_owned())));
        };
        match self.find(&path, place)? {
            Some(Found { path, kind: FileKind::Directory }) => Ok(path),
            Some(_) => Err(Error::new(place.clone(), Problem::Invalid(format!("`{name}` must be a directory")))),
            None => Err(Error::new(place.clone(), Problem::Missing(name.to_owned()))),
        }
    }
}
