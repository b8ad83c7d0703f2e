//! The real disk below a root directory. Links are followed, but never out of the root.

use super::{FileKind, FileSystem, Found};
use crate::path::TreePath;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A directory of the disk as a file system. Where a directory's links lead is asked once: open another one to see
/// links that changed since.
#[derive(Clone, Debug)]
pub struct DiskFileSystem {
    root: PathBuf,
    /// Directories without their links. Most files share theirs with others, and each step of each path is a question
    /// to the kernel.
    directories: Arc<Mutex<HashMap<PathBuf, PathBuf>>>,
}

impl DiskFileSystem {
    /// Opens `root`, whose own links are resolved once, here.
    ///
    /// # Errors
    /// If `root` does not exist or cannot be read.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { root: root.as_ref().canonicalize()?, directories: Arc::default() })
    }

    /// The tree path of a path of this disk, relative paths being relative to the working directory.
    ///
    /// # Errors
    /// If it does not exist, is not UTF-8, or lies outside of the root.
    pub fn tree_path(&self, path: impl AsRef<Path>) -> io::Result<TreePath> {
        let real = path.as_ref().canonicalize()?;
        self.relative(&real)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path lies outside of the root or is not UTF-8"))
    }

    fn relative(&self, real: &Path) -> Option<TreePath> {
        TreePath::parse(real.strip_prefix(&self.root).ok()?.to_str()?)
    }

    fn absolute(&self, path: &TreePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Where a path leads, links followed, and what is there.
    fn follow(&self, path: &Path) -> io::Result<(PathBuf, std::fs::Metadata)> {
        if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
            let real = self.directory(directory)?.join(name);
            let meta = real.symlink_metadata()?;
            if !meta.is_symlink() {
                return Ok((real, meta));
            }
        }
        let real = path.canonicalize()?;
        let meta = real.metadata()?;
        Ok((real, meta))
    }

    fn directory(&self, path: &Path) -> io::Result<PathBuf> {
        let known = || self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(real) = known().get(path) {
            return Ok(real.clone());
        }
        let real = path.canonicalize()?;
        known().insert(path.to_owned(), real.clone());
        Ok(real)
    }
}

impl FileSystem for DiskFileSystem {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        let (real, meta) = match self.follow(&self.absolute(path)) {
            Ok(found) => found,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = match meta {
            meta if meta.is_dir() => FileKind::Directory,
            meta if meta.is_file() => FileKind::File,
            // A device or a pipe could block for ever.
            _ => return Ok(None),
        };
        Ok(self.relative(&real).map(|path| Found { path, kind }))
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        std::fs::read(self.absolute(path))
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        std::fs::read_dir(self.absolute(path))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// A path through a file and too long a name are "nothing there"; a circle of links is an error.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}
