//! Times many overlays of one base in one process: `overlays DIR [COUNT]`. Each overlay sets a
//! prefix and a label of its own; the tree is in memory.

use lapdev_kustomize::{DiskFileSystem, FileKind, FileSystem, MemoryFileSystem, Options, Renderer, TreePath};
use std::error::Error;
use std::io::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name the directory of the base")?;
    let count: usize = arguments.next().map_or(Ok(1_000), |count| count.parse())?;
    let mut tree = MemoryFileSystem::new();
    copy(&DiskFileSystem::open(&directory)?, &TreePath::root(), &mut tree)?;
    for at in 0..count {
        let text = format!("resources: [../../base]\nnamePrefix: o{at}-\nlabels: [{{pairs: {{overlay: o{at}}}}}]\n");
        tree.insert(&format!("overlays/{at}/kustomization.yaml"), text);
    }
    let renderer = Renderer::new(&tree, Options::default());
    let start = Instant::now();
    let mut objects = 0;
    for at in 0..count {
        let path = TreePath::parse(&format!("overlays/{at}")).ok_or("leads out of the tree")?;
        objects += renderer.render(&path).map_err(|error| error.to_string())?.len();
    }
    writeln!(std::io::stdout(), "{count} overlays, {objects} objects: {:?}", start.elapsed())?;
    Ok(())
}

fn copy(disk: &DiskFileSystem, directory: &TreePath, tree: &mut MemoryFileSystem) -> Result<(), Box<dyn Error>> {
    for name in disk.list(directory)? {
        let path = directory.join(&name).ok_or("leads out of the tree")?;
        match disk.find(&path)?.map(|found| found.kind) {
            Some(FileKind::Directory) => copy(disk, &path, tree)?,
            Some(FileKind::File) => tree.insert(&format!("base/{}", path.as_str()), disk.read(&path)?),
            None => {}
        }
    }
    Ok(())
}
