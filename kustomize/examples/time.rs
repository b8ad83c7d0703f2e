//! Times the rendering of a directory in this process: `time DIR [ROUNDS]`. The tree is read into
//! memory once, so that the disk does not count.

use lapdev_kustomize::{DiskFileSystem, FileKind, FileSystem, MemoryFileSystem, Options, TreePath, render, to_yaml};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name a directory to render")?;
    let rounds: usize = arguments.next().map_or(Ok(50), |rounds| rounds.parse())?;
    let disk = DiskFileSystem::open(&directory)?;
    let mut tree = MemoryFileSystem::new();
    copy(&disk, &TreePath::root(), &mut tree)?;

    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    let mut objects = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        let rendered = render(&tree, &TreePath::root(), &Options::default()).map_err(|error| error.to_string())?;
        times.push(start.elapsed());
        objects = rendered.len();
    }
    let start = Instant::now();
    let bytes = to_yaml(&render(&tree, &TreePath::root(), &Options::default())?).len();
    let with_text = start.elapsed();
    times.sort();
    let (least, middle) = (times.first().copied().unwrap_or_default(), times[times.len() / 2]);
    writeln!(
        std::io::stdout(),
        "{objects} objects; least {least:?}, median {middle:?} of {rounds}; with {bytes} bytes of YAML {with_text:?}"
    )?;
    Ok(())
}

fn copy(disk: &DiskFileSystem, directory: &TreePath, tree: &mut MemoryFileSystem) -> Result<(), Box<dyn Error>> {
    for name in disk.list(directory)? {
        let path = directory.join(&name).ok_or("leads out of the tree")?;
        match disk.find(&path)?.map(|found| found.kind) {
            Some(FileKind::Directory) => copy(disk, &path, tree)?,
            Some(FileKind::File) => tree.insert(path.as_str(), disk.read(&path)?),
            None => {}
        }
    }
    Ok(())
}
