//! A file system held in memory, for tests and for callers that already have the bytes.

use super::{FileKind, FileSystem, Found};
use crate::path::TreePath;
use std::collections::BTreeMap;
use std::io;

/// Files by path. Directories exist where a file lies below them; there are no links.
#[derive(Clone, Debug, Default)]
pub struct MemoryFileSystem {
    files: BTreeMap<TreePath, Vec<u8>>,
}

impl MemoryFileSystem {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file. A path that leads out of the root is ignored: nothing can read it.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        if let Some(path) = TreePath::parse(path) {
            self.files.insert(path, content.into());
        }
    }

    /// The same as [`insert`](Self::insert), for chaining.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.insert(path, content);
        self
    }

    fn is_directory(&self, path: &TreePath) -> bool {
        path.as_str().is_empty()
            || self
                .files
                .range(path.clone()..)
                .skip_while(|(p, _)| *p == path)
                .take_while(|(p, _)| p.as_str().starts_with(path.as_str()))
                .any(|(p, _)| p.is_within(path))
    }
}

impl FileSystem for MemoryFileSystem {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        let kind = if self.files.contains_key(path) {
            FileKind::File
        } else if self.is_directory(path) {
            FileKind::Directory
        } else {
            return Ok(None);
        };
        Ok(Some(Found { path: path.clone(), kind }))
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        let depth = path.parts().count();
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter(|file| *file != path && file.is_within(path))
            .filter_map(|file| file.parts().nth(depth).map(str::to_owned))
            .collect();
        names.dedup();
        Ok(names)
    }
}

impl<P: AsRef<str>, C: Into<Vec<u8>>> FromIterator<(P, C)> for MemoryFileSystem {
    fn from_iter<I: IntoIterator<Item = (P, C)>>(files: I) -> Self {
        let mut tree = Self::new();
        for (path, content) in files {
            tree.insert(path.as_ref(), content);
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_exist_where_files_lie_below_them() {
        let fs = MemoryFileSystem::new().with("a/b/c.yaml", "x").with("a-b.yaml", "y").with("a/d", "z");
        let kind = |path: &str| {
            let path = TreePath::parse(path).expect("inside");
            fs.find(&path).expect("memory does not fail").map(|found| found.kind)
        };
        assert_eq!(kind("a"), Some(FileKind::Directory));
        assert_eq!(kind("a/b/c.yaml"), Some(FileKind::File));
        assert_eq!(kind("a/x"), None);
        let names = fs.list(&TreePath::parse("a").expect("inside")).expect("memory does not fail");
        assert_eq!(names, ["b", "d"]);
    }
}
