//! What a process that was killed leaves in the mirrors' folder, and how it is found and removed.

use super::GitError;
use git2::{ErrorCode, Repository, RepositoryInitOptions};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Folders with this prefix are repositories that are being made, or being removed.
const UNFINISHED: &str = ".unfinished-";
/// libgit2 writes a pack under such a name until it is complete.
const UNFINISHED_PACK: &str = "pack_git2_";
/// And a ref, or another small file, under its name with this ending. No ref can have such a name itself.
const LOCK: &str = ".lock";

/// An open mirror, and whether it had to be made for it.
pub(super) struct Opened {
    pub repository: Repository,
    pub remade: bool,
}

/// Opens the mirror; one that is missing, cannot be opened or lacks what its refs point to is made anew, empty.
pub(super) fn open_or_make(path: &Path) -> Result<Opened, GitError> {
    // Two first fetches of one repository must not both put theirs in place. Local and short, so one lock for all.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    match Repository::open_bare(path) {
        Ok(repository) if is_whole(&repository) => return Ok(Opened { repository, remade: false }),
        Ok(_) => tracing::warn!(path = %path.display(), "a mirror lacks objects; it is fetched anew"),
        Err(error) if error.code() == ErrorCode::NotFound && !path.exists() => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "a mirror cannot be opened; it is fetched anew"),
    }
    let failed = |source| GitError::Folder { path: path.to_owned(), source };
    look_at(path).map_err(failed)?;
    remove(path).map_err(failed)?;
    let new = unfinished(path);
    let git = |source| GitError::Mirror { attempt: "make a repository", path: path.to_owned(), source };
    make(&new).map_err(git)?;
    fs::rename(&new, path).map_err(failed)?;
    let repository = Repository::open_bare(path).map_err(git)?;
    Ok(Opened { repository, remade: true })
}

fn make(path: &Path) -> Result<(), git2::Error> {
    let mut options = RepositoryInitOptions::new();
    let repository = Repository::init_opts(path, options.bare(true).no_reinit(true).external_template(false))?;
    let mut config = repository.config()?;
    config.set_bool("core.fsyncObjectFiles", true)
}

/// Whether each ref's commit and its tree are there. Refs are written last, so this is what a kill can leave wrong.
fn is_whole(repository: &Repository) -> bool {
    let Ok(references) = repository.references() else {
        return false;
    };
    references.into_iter().all(|reference| {
        let commit = reference.and_then(|r| r.peel_to_commit());
        commit.and_then(|c| c.tree()).is_ok()
    })
}

/// Fails when the system does not let us look: too many open files, no right, a failing disk. libgit2 says the same then as
/// of a damaged mirror, which may be the only place that still has a commit that somebody pinned.
fn look_at(path: &Path) -> io::Result<()> {
    let looks = [
        fs::File::open(path.join("HEAD")).map(drop),
        fs::read_dir(path.join("objects")).map(drop),
        fs::read_dir(path.join("refs")).map(drop),
    ];
    let is_damage = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    looks.into_iter().filter(|look| !look.as_ref().is_err_and(is_damage)).collect()
}

/// Removes a mirror so that a kill in between leaves nothing that could be taken for one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let doomed = unfinished(path);
    match fs::rename(path, &doomed) {
        Ok(()) if doomed.is_dir() => fs::remove_dir_all(&doomed),
        Ok(()) => fs::remove_file(&doomed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn unfinished(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("{UNFINISHED}{}-{count}", std::process::id()))
}

/// Removes unfinished repositories, packs and refs: nobody else would ever, and a ref that stays locked cannot be written
/// again. Only at start: a running process has them, too.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_dir_all(&path)?;
        } else {
            remove_unfinished_packs(&path.join("objects/pack"))?;
            remove_locks(&path, false)?;
            remove_locks(&path.join("refs"), true)?;
        }
    }
    Ok(())
}

fn remove_unfinished_packs(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Not a whole repository: the next fetch sees to it.
        Err(_) => return Ok(()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED_PACK.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_locks(folder: &Path, below: bool) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && below {
            remove_locks(&entry.path(), below)?;
        } else if !is_folder && entry.file_name().as_encoded_bytes().ends_with(LOCK.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
