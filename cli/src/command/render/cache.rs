//! The folder that keeps what was fetched: `$XDG_CACHE_HOME/lapdev`, else `~/.cache/lapdev`. Everything in it has a name
//! that says what it is, so that it is either right or absent; all of it can be removed at any time.

use lapdev_api::digest::short_hash;
use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder of the cache, for things that were fetched from one address.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder for what has this name, such as an address.
    pub fn of(kind: &str, name: &str) -> io::Result<Self> {
        Self::below(&root(), kind, name)
    }

    /// The same in a cache elsewhere.
    pub fn below(root: &Path, kind: &str, name: &str) -> io::Result<Self> {
        let last = name.trim_end_matches(".git").rsplit(['/', ':']).next().unwrap_or_default();
        let readable: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        let folder = root.join(kind).join(format!("{readable}-{}", short_hash(&[name], 16)));
        // What a private repository holds is nobody else's.
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// What is there under a name.
    pub fn get(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(name)).filter(|path| path.is_dir())
    }

    /// A folder to fill; it goes again unless it is kept.
    pub fn fresh(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(".part-").tempdir_in(&self.folder)
    }

    /// Keeps a filled folder under a name. Whoever was first is kept.
    pub fn keep(&self, filled: &Path, name: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        match fs::rename(filled, &path) {
            Err(error) if !path.is_dir() => Err(error),
            _ => Ok(path),
        }
    }
}

fn root() -> PathBuf {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("lapdev")
}
