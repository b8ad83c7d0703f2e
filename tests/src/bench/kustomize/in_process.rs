//! What the reconciler does: renderings of one process, of a tree in memory, on one thread.

use crate::{bench::median::median, stage::Error};
use lapdev_kustomize::{DiskFileSystem, FileKind, FileSystem, MemoryFileSystem, Options, Renderer, TreePath, render};
use std::{path::Path, time::Instant};

/// Renderings of Online Boutique that are timed, after as many tenths that are not.
const TIMES: usize = 200;
/// Overlays of it in one process.
pub const OVERLAYS: usize = 1000;

/// What was measured of Online Boutique.
#[derive(Debug, Clone, Copy)]
pub struct Boutique {
    /// Objects of a rendering.
    pub objects: usize,
    /// The median time of a rendering, in milliseconds.
    pub milliseconds: f64,
    /// The time of so many overlays that share what was parsed, in seconds.
    pub overlays: f64,
    /// Their objects.
    pub overlay_objects: usize,
}

/// Measures the kustomization in a folder, which lies there with all that it needs.
///
/// # Errors
/// When the folder cannot be read or rendered.
pub fn boutique(folder: &Path) -> Result<Boutique, Error> {
    let mut tree = MemoryFileSystem::new();
    copy(&DiskFileSystem::open(folder)?, &TreePath::root(), &mut tree)?;
    let base = path("boutique")?;
    let (mut times, mut objects) = (Vec::new(), 0);
    for time in 0..TIMES + TIMES / 10 {
        let begun = Instant::now();
        objects = render(&tree, &base, &Options::default())?.len();
        if time >= TIMES / 10 {
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let (overlays, overlay_objects) = overlays(&mut tree)?;
    Ok(Boutique { objects, milliseconds: median(times), overlays, overlay_objects })
}

/// Overlays that differ in namespace, prefix, label and the image of a service.
fn overlays(tree: &mut MemoryFileSystem) -> Result<(f64, usize), Error> {
    for at in 0..OVERLAYS {
        let text = format!(
            "resources: [../../boutique]\nnamespace: env-{at}\nnamePrefix: e{at}-\n\
             labels: [{{pairs: {{environment: e{at}}}, includeSelectors: true}}]\n\
             images: [{{name: frontend, newTag: b{at}}}]\n"
        );
        tree.insert(&format!("overlays/{at}/kustomization.yaml"), text);
    }
    let (renderer, begun) = (Renderer::new(tree, Options::default()), Instant::now());
    let mut objects = 0;
    for at in 0..OVERLAYS {
        objects += renderer.render(&path(&format!("overlays/{at}"))?)?.len();
    }
    Ok((begun.elapsed().as_secs_f64(), objects))
}

fn path(text: &str) -> Result<TreePath, Error> {
    TreePath::parse(text).ok_or_else(|| "leads out of the tree".into())
}

/// Copies a folder into the tree, below `boutique`.
fn copy(disk: &DiskFileSystem, directory: &TreePath, tree: &mut MemoryFileSystem) -> Result<(), Error> {
    for name in disk.list(directory)? {
        let path = directory.join(&name).ok_or("a name that leads out of the tree")?;
        match disk.find(&path)?.map(|found| found.kind) {
            Some(FileKind::Directory) => copy(disk, &path, tree)?,
            Some(FileKind::File) => tree.insert(&format!("boutique/{}", path.as_str()), disk.read(&path)?),
            None => {}
        }
    }
    Ok(())
}
