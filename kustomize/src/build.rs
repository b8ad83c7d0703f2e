//! The course of a rendering: resources, generators, components, transformers; names and order last.

use crate::error::{Error, Place, Problem};
use crate::kustomization::{self, Kustomization, Text};
use crate::object::Object;
use crate::path::TreePath;
use crate::resource::{self, ResourceList};
use crate::source::Source;

/// Renders the kustomization in a directory.
pub fn render(source: Source<'_>, directory: &TreePath) -> Result<Vec<Object>, Error> {
    let place = Place::of(directory);
    let root = source.directory(&TreePath::root(), directory.as_str(), &place)?;
    let mut list = ResourceList::default();
    Build { source, visited: Vec::new() }.accumulate(&root, &mut list)?;
    Ok(list.into_items().into_iter().map(|item| Object::new(item.value, item.place)).collect())
}

/// Whether a directory has a kustomization file.
pub fn has_kustomization(source: Source<'_>, directory: &TreePath) -> Result<bool, Error> {
    let root = source.directory(&TreePath::root(), directory.as_str(), &Place::of(directory))?;
    Ok(kustomization::find(source, &root)?.is_some())
}

struct Build<'s> {
    source: Source<'s>,
    /// The directories of the kustomizations that are being rendered, outermost first.
    visited: Vec<TreePath>,
}

impl Build<'_> {
    fn accumulate(&mut self, directory: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        if self.visited.len() >= self.source.options.limits.bases {
            return Err(Error::new(Place::of(directory), Problem::TooDeep(self.source.options.limits.bases)));
        }
        let kustomization = kustomization::load(self.source, directory)?;
        self.visited.push(directory.clone());
        self.resources(directory, &kustomization, list)?;
        self.visited.pop();
        Ok(())
    }

    fn resources(
        &mut self,
        directory: &TreePath,
        kustomization: &Kustomization,
        list: &mut ResourceList,
    ) -> Result<(), Error> {
        for entry in &kustomization.resources {
            match self.source.file(directory, &entry.value, &entry.place)? {
                Some(file) => {
                    let text = self.source.text(&file)?;
                    list.append_all(resource::of_file(&text, &file, &self.source.options.limits)?)?;
                }
                None => self.base(directory, entry, list)?,
            }
            let limit = self.source.options.limits.objects;
            if list.len() > limit {
                return Err(Error::new(entry.place.clone(), Problem::TooLarge(limit, "objects")));
            }
        }
        Ok(())
    }

    fn base(&mut self, directory: &TreePath, entry: &Text, list: &mut ResourceList) -> Result<(), Error> {
        let base = self.source.directory(directory, &entry.value, &entry.place)?;
        if self.visited.iter().any(|visited| visited.is_within(&base)) {
            let way: Vec<String> = self.visited.iter().map(ToString::to_string).collect();
            return Err(Error::new(entry.place.clone(), Problem::Cycle(entry.value.clone(), way.join(" → "))));
        }
        let mut inner = ResourceList::default();
        self.accumulate(&base, &mut inner)?;
        list.append_all(inner.into_items())
    }
}
