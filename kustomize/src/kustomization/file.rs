//! Finding the one kustomization file of a directory, and decoding it.

use super::{Field, Kustomization};
use crate::error::{Error, Place, Problem};
use crate::path::TreePath;
use crate::source::Source;
use crate::yaml::{self, Dialect, NodeKind};

/// The names that a kustomization file may have.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The kustomization file in a real directory; `Ok(None)` if there is none, an error if there are two.
pub fn find(source: Source<'_>, directory: &TreePath) -> Result<Option<TreePath>, Error> {
    let place = Place::of(directory);
    let mut found: Option<(&'static str, TreePath)> = None;
    for name in FILE_NAMES {
        let Some(path) = source.file(directory, name, &place)? else { continue };
        match &found {
            Some((first, _)) => return Err(Error::new(place, Problem::TwoKustomizations(first, name))),
            None => found = Some((name, path)),
        }
    }
    Ok(found.map(|(_, path)| path))
}

/// Reads and decodes the kustomization of a real directory.
pub fn load(source: Source<'_>, directory: &TreePath) -> Result<Kustomization, Error> {
    let file = find(source, directory)?.ok_or_else(|| Error::new(Place::of(directory), Problem::NoKustomization))?;
    let text = source.text(&file)?;
    let root = yaml::single(&text, Dialect::Kustomization, &source.options.limits)
        .map_err(|(at, problem)| Error::new(Place::at(&file, at), problem))?;
    if matches!(root.kind, NodeKind::Null { .. }) {
        return Err(Error::new(Place::of(&file), Problem::EmptyKustomization));
    }
    Kustomization::decode(&Field::root(&root, &file))
}
