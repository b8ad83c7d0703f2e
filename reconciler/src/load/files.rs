//! Which files of a tree are configuration, and reading them within bounds. The only file of `load` that reads, through
//! a [`FileSystem`].

use super::diagnostic::{Diagnostic, Position};
use lapdev_kustomize::{FileKind, FileSystem, TreePath};
use std::{collections::BTreeSet, io};

/// All files together, in bytes.
pub const MAX_TOTAL_BYTES: usize = 32 << 20;
/// How many files.
pub const MAX_FILES: usize = 10_000;
/// Folders below the configured one.
const MAX_DEPTH: usize = 32;

/// A file of the tree, by its path from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path.
    pub path: String,
    /// The content; none: larger than the tree may read.
    pub content: Option<Vec<u8>>,
}

impl SourceFile {
    /// A file that was read.
    #[must_use]
    pub fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Some(content.into()) }
    }
}

/// The files below a folder, sorted by path, and why some are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// What was read.
    pub files: Vec<SourceFile>,
    /// Bounds that were met.
    pub errors: Vec<Diagnostic>,
}

/// Reads every `.yaml` and `.yml` file below `folder`. Links are followed inside the tree; what several lead to is read
/// once, under its own path. Folders and files whose name begins with a dot are left out.
///
/// # Errors
/// When the tree cannot be read. A folder that does not exist is no such error but a diagnostic.
pub fn files_under(fs: &dyn FileSystem, folder: &TreePath) -> io::Result<Files> {
    let mut walk = Walk { fs, seen: BTreeSet::new(), bytes: 0, found: Files::default() };
    match fs.find(folder)? {
        Some(found) if found.kind == FileKind::Directory => {
            walk.seen.insert(found.path.clone());
            walk.folder(&found.path, 0)?;
        }
        _ => walk.error(folder, "the configured path does not exist in this tree", "expected a folder"),
    }
    walk.found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

struct Walk<'f> {
    fs: &'f dyn FileSystem,
    seen: BTreeSet<TreePath>,
    bytes: usize,
    found: Files,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &TreePath, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            self.error(folder, "folders are nested too deeply", format!("expected at most {MAX_DEPTH} levels"));
            return Ok(());
        }
        let mut names = self.fs.list(folder)?;
        names.sort_unstable();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let Some(path) = folder.join(name).filter(|path| path.file_name() == name) else {
                continue;
            };
            let Some(found) = self.fs.find(&path)? else {
                if is_yaml(name) {
                    self.error(&path, "this link leads nowhere in the tree", "expected a file");
                }
                continue;
            };
            let wanted = found.kind == FileKind::Directory || is_yaml(name);
            if !wanted || !self.seen.insert(found.path.clone()) {
                continue;
            }
            match found.kind {
                FileKind::Directory => self.folder(&found.path, depth + 1)?,
                FileKind::File => self.file(&found.path)?,
            }
            if self.is_full(folder) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &TreePath) -> io::Result<()> {
        let content = match self.fs.read(path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => None,
            Err(error) => return Err(error),
        };
        self.bytes += content.as_ref().map_or(0, Vec::len);
        self.found.files.push(SourceFile { path: path.as_str().to_owned(), content });
        Ok(())
    }

    /// Says once that a bound is met; the walk ends there.
    fn is_full(&mut self, folder: &TreePath) -> bool {
        if self.bytes <= MAX_TOTAL_BYTES && self.found.files.len() <= MAX_FILES {
            return false;
        }
        if !self.found.errors.iter().any(|e| e.message == TOO_MUCH) {
            self.error(folder, TOO_MUCH, format!("expected at most {MAX_FILES} files and {MAX_TOTAL_BYTES} bytes"));
        }
        true
    }

    fn error(&mut self, path: &TreePath, message: &str, expected: impl Into<String>) {
        self.found.errors.push(Diagnostic::new(path.to_string(), Position::START, message, expected));
    }
}

const TOO_MUCH: &str = "the configured path holds too much";

fn is_yaml(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| !stem.is_empty() && matches!(extension, "yaml" | "yml"))
}
