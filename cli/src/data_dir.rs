//! The control plane's data folder: made for its owner alone, and held by one process at a time. Two of them would
//! publish over each other, and write each comment twice.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

const LOCK: &str = "lapdev.lock";

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made.
    #[error("cannot make the data folder {path}: check data_dir in lapdev.toml, and that lapdev may write there")]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its lock cannot be taken.
    #[error("cannot lock {path}: check that lapdev may write there, and that its file system knows locks")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "another lapdev serve ({holder}) uses the data folder {path}: end that one, or give this one its own data_dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who, as far as its lock says.
        holder: String,
    },
}

/// The folder, for as long as this lives. The kernel gives it back when the process ends, however that happens.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Makes the folder where there is none, and takes it.
    pub fn hold(path: &Path) -> Result<Self, DataDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| DataDirError::Make { path: path.to_owned(), source })?;
        let file = path.join(LOCK);
        let failed = |source| DataDirError::Lock { path: file.clone(), source };
        let mut options = OpenOptions::new();
        let mut lock =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { path: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let noted = lock.set_len(0).and_then(|()| write!(lock, "process {}", std::process::id()));
        noted.map_err(failed)?;
        Ok(Self { _lock: lock })
    }
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(length) if length > 0 => text,
        _ => "of unknown number".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_is_its_owners_and_one_process_has_it() {
        let above = tempfile::tempdir().expect("a folder");
        let path = above.path().join("new/data");
        let held = DataDir::hold(&path).expect("nobody has it");
        let mode = std::fs::metadata(&path).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let refused = DataDir::hold(&path).expect_err("it is taken").to_string();
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        drop(held);
        DataDir::hold(&path).expect("it is free again");
    }

    #[test]
    fn a_path_that_can_be_no_folder_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let refused = DataDir::hold(&file.path().join("data")).expect_err("below a file");
        assert!(matches!(refused, DataDirError::Make { .. }), "{refused}");
    }
}
