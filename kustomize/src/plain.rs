//! A directory of plain manifests, without a kustomization file.

use crate::budget::Budget;
use crate::error::{Error, Place};
use crate::fs::FileKind;
use crate::object::Object;
use crate::path::TreePath;
use crate::resource::{self, ResourceList};
use crate::source::Source;

/// The objects of all `*.yaml` and `*.yml` files directly in a directory, in the order of their names.
pub fn load(source: Source<'_>, directory: &TreePath) -> Result<Vec<Object>, Error> {
    let place = Place::of(directory);
    let directory = source.directory(&TreePath::root(), directory.as_str(), &place)?;
    let mut names = source.list(&directory)?;
    // Hidden files are settings of tools, not manifests.
    names.retain(|name| !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml")));
    names.sort();
    let mut list = ResourceList::new(Budget::new(source.options.limits.total));
    for name in names {
        let Some(path) = directory.join(&name) else { continue };
        let Some(found) = source.find(&path, &Place::of(&path))?.filter(|found| found.kind == FileKind::File) else {
            continue;
        };
        let text = source.text(&found.path)?;
        list.append_read(resource::of_file(&text, &found.path, &source.options.limits)?)?;
    }
    Ok(list.into_items().into_iter().map(|item| Object::new(item.value, item.place)).collect())
}
