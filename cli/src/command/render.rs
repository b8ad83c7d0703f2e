//! `lapdev render`: the objects of a kustomization on stdout, byte for byte as the reference prints them.

use crate::{
    args::{LoadRestrictor, Render},
    exit::Failure,
    output::data,
};
use lapdev_kustomize::{self as kustomize, DiskFileSystem, Options};
use std::path::Path;

/// Runs it. The whole disk is the tree, since a kustomization may name bases above its own folder.
pub fn run(args: &Render) -> Result<(), Failure> {
    let options = Options {
        load_restrictor: match args.load_restrictor {
            LoadRestrictor::RootOnly => kustomize::LoadRestrictor::RootOnly,
            LoadRestrictor::None => kustomize::LoadRestrictor::None,
        },
        managed_by_label: args.enable_managedby_label,
        ..Options::default()
    };
    let fs = DiskFileSystem::open(Path::new("/")).map_err(Failure::not_fine)?;
    let path =
        fs.tree_path(&args.dir).map_err(|error| Failure::not_fine(format!("{}: {error}", args.dir.display())))?;
    let objects = kustomize::render(&fs, &path, &options).map_err(Failure::not_fine)?;
    data(&kustomize::to_yaml(&objects))
}
