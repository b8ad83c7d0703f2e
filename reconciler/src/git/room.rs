//! A bound on what remote bases take of the disk: whoever may push chooses which and how many are fetched.

use super::repair;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What a folder takes besides its packs.
const FOLDER: u64 = 1 << 20;

/// Removes the bases that nobody asked for the longest, until all together take at most so many bytes. Returns them.
pub(super) fn make(folder: &Path, most: u64) -> io::Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "git") {
            kept.push((entry.metadata()?.modified()?, weight(&path)?, path));
        }
    }
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, weight, _)| weight).sum();
    let mut gone = Vec::new();
    for (_, weight, path) in kept {
        if total <= most {
            break;
        }
        repair::remove(&path)?;
        total -= weight;
        gone.push(path);
    }
    Ok(gone)
}

/// Somebody asked for this one.
pub(super) fn note_use(path: &Path) -> io::Result<()> {
    File::open(path)?.set_modified(SystemTime::now())
}

fn weight(path: &Path) -> io::Result<u64> {
    let packs = match fs::read_dir(path.join("objects/pack")) {
        Ok(packs) => packs,
        // Not a whole repository: the next fetch sees to it.
        Err(_) => return Ok(FOLDER),
    };
    packs.map(|pack| Ok(pack?.metadata()?.len())).sum::<io::Result<u64>>().map(|packs| packs + FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_nobody_asked_for_the_longest_goes_first_and_no_more_than_must() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        for (at, name) in ["b.git", "a.git", "c.git"].into_iter().enumerate() {
            let path = home.path().join(name);
            fs::create_dir_all(path.join("objects/pack")).expect("made");
            fs::write(path.join("objects/pack/x.pack"), vec![0; 1000]).expect("written");
            let then = long_ago + Duration::from_secs(u64::try_from(at).expect("few"));
            File::open(&path).and_then(|folder| folder.set_modified(then)).expect("set");
        }
        note_use(&home.path().join("b.git")).expect("noted");
        let each = FOLDER + 1000;
        assert_eq!(make(home.path(), 3 * each).expect("read"), Vec::<PathBuf>::new());
        assert_eq!(make(home.path(), 2 * each).expect("removed"), [home.path().join("a.git")]);
        assert_eq!(make(home.path(), each).expect("removed"), [home.path().join("c.git")]);
        assert!(home.path().join("b.git").is_dir());
        assert_eq!(fs::read_dir(home.path()).expect("read").count(), 1);
    }
}
