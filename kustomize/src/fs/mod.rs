//! Where a rendering reads from. The renderer touches no disk itself: everything it reads comes
//! through [`FileSystem`], so that a git tree, an archive or a test can stand in its place.

mod disk;
mod memory;

pub use disk::DiskFileSystem;
pub use memory::MemoryFileSystem;

use crate::path::TreePath;
use std::io;

/// What a path leads to after every symbolic link on the way was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The real path, free of links.
    pub path: TreePath,
    /// What is there.
    pub kind: FileKind,
}

/// The two kinds of entries that a rendering distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// A tree of files to render from.
///
/// A rendering asks for paths below the root only, and reads and lists only what `find` returned,
/// so an implementation needs no checks of its own beyond never following a link out of its root.
pub trait FileSystem {
    /// Follows `path`, links included. `Ok(None)` if nothing is there, or if a link leads out of
    /// the root.
    ///
    /// # Errors
    /// Whatever keeps the implementation from knowing.
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>>;

    /// The whole content of the file at a real path.
    ///
    /// # Errors
    /// Whatever keeps the file from being read.
    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>>;

    /// The names (not paths) in the directory at a real path, in any order.
    ///
    /// # Errors
    /// Whatever keeps the directory from being listed.
    fn list(&self, path: &TreePath) -> io::Result<Vec<String>>;
}
