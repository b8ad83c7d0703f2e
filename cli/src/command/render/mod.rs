//! `lapdev render`: the objects of a kustomization, byte for byte as the reference prints them, on stdout or in files.
//! What lies outside of the tree is fetched by `git` and `web`, charts are rendered by `helm`, each only when asked for.

mod cache;
mod flags;
mod git;
mod helm;
mod process;
mod remotes;
mod web;
mod write;

use crate::{
    args::{LoadRestrictor, Render, Reorder},
    exit::Failure,
};
use helm::HelmProgram;
use lapdev_api::words::error_chain;
use lapdev_kustomize::{
    self as kustomize, DiskFileSystem, FileSystem, Options, Problem, Renderer, Repository, TreePath,
};
pub use remotes::Fetch;
use remotes::Interrupted;
use std::path::Path;

/// A second one takes half of the parsing; the rest is one thread's, so that more would win little. Not as many as there
/// are processors: asking for that reads files, which a small tree would notice.
const THREADS: usize = 2;

/// Runs it.
pub fn run(args: &Render) -> Result<(), Failure> {
    flags::check(&args.functions)?;
    let fetch = Fetch::default();
    let target = Target::open(&args.dir, &fetch)?;
    let fetch = Fetch { disk: !target.is_elsewhere, ..fetch };
    let helm = args.helm.enable_helm.then(|| HelmProgram::new(&args.helm, target.is_remote));
    let mut renderer = Renderer::new(target.fs.as_ref(), options(args, &target)).with_remotes(&fetch);
    if let Some(helm) = &helm {
        renderer = renderer.with_helm(helm);
    }
    let objects = renderer.render(&target.path).map_err(failure)?;
    let written = match &args.output {
        None => write::print(&objects),
        Some(path) => write::write(path, &objects),
    };
    // The process ends here, which frees hundreds of thousands of values at once.
    std::mem::forget((objects, renderer));
    written
}

/// Who asks for something that cannot be reached gets the exit code for it.
fn failure(error: kustomize::Error) -> Failure {
    match error.problem() {
        Problem::Remote(_, why) | Problem::Helm(_, why) if why.is::<Interrupted>() => Failure::interrupted(error),
        Problem::Remote(..) => Failure::unreachable(error),
        _ => Failure::not_fine(error),
    }
}

/// The tree that is rendered, and the folder in it.
struct Target {
    fs: Box<dyn FileSystem>,
    path: TreePath,
    is_remote: bool,
    /// It was fetched, and not from this disk.
    is_elsewhere: bool,
}

impl Target {
    fn open(dir: &str, fetch: &Fetch) -> Result<Self, Failure> {
        match Repository::parse(dir) {
            Some(repository) => {
                let fs = fetch.tree(&repository).map_err(|error| {
                    let said = format!("cannot fetch `{repository}`: {}", error_chain(error.as_ref()));
                    if error.is::<Interrupted>() { Failure::interrupted(said) } else { Failure::unreachable(said) }
                })?;
                let is_elsewhere = !repository.is_local();
                Ok(Self { fs: Box::new(fs), path: repository.path, is_remote: true, is_elsewhere })
            }
            None => {
                // The whole disk is the tree, since a kustomization may name bases above its own folder.
                let fs = DiskFileSystem::open(Path::new("/")).map_err(Failure::not_fine)?;
                let path = fs.tree_path(dir).map_err(|error| Failure::not_fine(format!("{dir}: {error}")))?;
                Ok(Self { fs: Box::new(fs), path, is_remote: false, is_elsewhere: false })
            }
        }
    }
}

fn options(args: &Render, target: &Target) -> Options {
    Options {
        load_restrictor: match args.load_restrictor {
            // What others wrote may read what is its own.
            LoadRestrictor::None if !target.is_remote => kustomize::LoadRestrictor::None,
            LoadRestrictor::None | LoadRestrictor::RootOnly => kustomize::LoadRestrictor::RootOnly,
        },
        managed_by_label: args.enable_managedby_label,
        keep_order: args.reorder == Reorder::None,
        threads: THREADS,
        ..Options::default()
    }
}
