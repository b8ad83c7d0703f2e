//! What `resources`, `bases` and `components` list: files, directories and repositories, each found and read, or accumulated
//! as a kustomization of its own.

use super::bases::{self, Kept};
use super::read_ahead::{self, Read};
use super::{Accumulated, Build};
use crate::error::{Error, Problem};
use crate::field_spec::FieldSpecs;
use crate::kustomization::{self, Kustomization, Text};
use crate::path::TreePath;
use crate::remote::{Remote, Repository, is_local};
use crate::resource::{self, Resource};
use std::rc::Rc;

impl Build<'_> {
    pub(super) fn resources(
        &mut self,
        directory: &TreePath,
        entries: &[Text],
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let limit = self.source.options.limits.objects;
        let mut left = entries;
        while !left.is_empty() {
            let ahead = read_ahead::objects(self.source, directory, left);
            let (batch, rest) = left.split_at(ahead.len());
            for (entry, read) in batch.iter().zip(ahead) {
                match read {
                    Some(Read { file, objects }) => {
                        self.append_read(self.source.objects_or(&file, || Ok(objects))?, all)?;
                    }
                    None => self.resource(directory, entry, all)?,
                }
                if all.list.len() > limit {
                    return Err(Error::new(entry.place.clone(), Problem::TooLarge(limit, "objects")));
                }
            }
            left = rest;
        }
        Ok(())
    }

    /// The objects that configure generators, transformers or validators: in place, in files or in bases.
    pub(super) fn configs(&mut self, directory: &TreePath, entries: &[Text]) -> Result<Vec<Resource>, Error> {
        let mut all = self.start();
        let mut paths = Vec::new();
        for entry in entries {
            match resource::resources(&entry.value, &entry.place, &self.source.options.limits) {
                Ok(inline) => self.append_read(inline, &mut all)?,
                Err(_) => paths.push(entry.clone()),
            }
        }
        self.resources(directory, &paths, &mut all)?;
        Ok(all.list.into_items())
    }

    /// A file if there is one of that name, and a directory or a repository if not.
    fn resource(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
        let remote = Remote::of(&entry.value);
        // An address with a scheme can be no path, and `..` in it leads nowhere.
        if matches!(remote, Some(Remote::Repository(_))) && entry.value.contains("://") {
            return self.base(directory, entry, all);
        }
        let file = match self.source.file(directory, &entry.value, &entry.place) {
            Ok(Some(file)) => self.source.objects(&file),
            Ok(None) => return self.base(directory, entry, all),
            Err(error) => Err(error),
        };
        match (file, remote) {
            (Ok(read), _) => self.append_read(read, all),
            (Err(error), Some(Remote::File(Some(_)))) if !matches!(error.problem(), Problem::NoRemotes(_)) => {
                // Not a file, then: but if it is no repository either, both are said.
                self.base(directory, entry, all).map_err(|second| neither(entry, &error, second))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn append_read(&self, read: Vec<Resource>, all: &mut Accumulated) -> Result<(), Error> {
        read.iter().for_each(|resource| self.source.types.meet(&resource.gvk()));
        all.list.append_read(read)
    }

    /// A base has objects of its own, which join the parent's when it is done.
    fn base(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
        let base = self.way(directory, entry)?;
        let key = bases::Key { directory: base.clone(), types_chosen: self.source.types.is_chosen() };
        let inner = match self.copy(&key) {
            Some(copy) => copy,
            None => self.accumulate_base(key, entry)?,
        };
        let conflict = |why| Error::new(entry.place.clone(), Problem::Invalid(why));
        FieldSpecs::join(&mut all.specs, &inner.specs).map_err(conflict)?;
        all.vars.merge(&inner.vars)?;
        all.list.join(inner.list)
    }

    fn accumulate_base(&mut self, key: bases::Key, entry: &Text) -> Result<Accumulated, Error> {
        let base = key.directory.clone();
        let kustomization = self.load(&base)?;
        if kustomization.is_component {
            let why = format!("`{}` is a component; list it under `components`", entry.value);
            return Err(Error::new(entry.place.clone(), Problem::Invalid(why)));
        }
        let (left, entered, charts) = (self.budget.left(), self.entered.len(), self.charts);
        let mut inner = self.start();
        self.accumulate(&base, &kustomization, &mut inner)?;
        let (spent, entered) = (left - self.budget.left(), &self.entered[entered..]);
        // A chart's namespace may be that of whoever names the base.
        if self.charts == charts {
            self.bases.note(key, || Kept { all: inner.clone(), entered: entered.to_vec(), spent });
        }
        Ok(inner)
    }

    /// The copy of a base, if there is one, and if accumulating it again would meet no limit and no circle.
    fn copy(&mut self, key: &bases::Key) -> Option<Accumulated> {
        let (kept, limits) = (self.bases.get(key)?, &self.source.options.limits);
        let moved = kept.entered_at(self.visited.len());
        let fits = self.entered.len() + moved.len() <= limits.kustomizations
            && moved.iter().all(|one| one.depth < limits.bases)
            && !moved.iter().any(|one| self.visited.iter().any(|visited| visited.is_within(&one.directory)));
        if !fits || self.budget.pay(1, kept.spent).is_err() {
            return None;
        }
        self.entered.extend(moved);
        Some(kept.all.clone())
    }

    /// A component changes the objects of its parent.
    pub(super) fn component(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
        let base = self.way(directory, entry)?;
        let kustomization = self.load(&base)?;
        if !kustomization.is_component {
            let why = format!(
                "`{}` is not a component; list it under `resources`, or set `kind: Component` there",
                entry.value
            );
            return Err(Error::new(entry.place.clone(), Problem::Invalid(why)));
        }
        self.accumulate(&base, &kustomization, all)?;
        // The reference begins anew with all that there is now, which merges the field specs once more.
        let conflict = |why| Error::new(entry.place.clone(), Problem::Invalid(why));
        let specs = std::mem::replace(&mut all.specs, Rc::new(FieldSpecs::nothing()));
        FieldSpecs::join(&mut all.specs, &specs).map_err(conflict)
    }

    /// Where a base or a component is; an error if it includes whoever names it.
    fn way(&self, directory: &TreePath, entry: &Text) -> Result<TreePath, Error> {
        let base = self.directory(directory, entry)?;
        if self.visited.iter().any(|visited| visited.is_within(&base)) {
            let way: Vec<String> = self.visited.iter().map(ToString::to_string).collect();
            return Err(Error::new(entry.place.clone(), Problem::Cycle(entry.value.clone(), way.join(" → "))));
        }
        Ok(base)
    }

    fn load(&self, directory: &TreePath) -> Result<Kustomization, Error> {
        let kustomization = kustomization::load(self.source, directory)?;
        kustomization.open_api.choose(self.source, directory)?;
        Ok(kustomization)
    }

    /// Where a base or a component is.
    fn directory(&self, from: &TreePath, entry: &Text) -> Result<TreePath, Error> {
        let invalid = |why: String| Err(Error::new(entry.place.clone(), Problem::Invalid(why)));
        let name = entry.value.as_str();
        if let Some(repository) = Repository::parse(name) {
            // Others wrote what was fetched: it must not show what this disk's owner alone may read.
            if repository.is_local() && from.tree().is_some_and(|tree| !is_local(&tree.url)) {
                let why = "what was fetched from elsewhere must not name repositories of this disk";
                return invalid(format!("{why}; remove `{name}` there"));
            }
            return self.source.repository(&repository, &entry.place);
        }
        if name.contains("://") {
            return invalid(format!(
                "`{name}` names no repository; write `https://HOST/OWNER/REPOSITORY//DIR?ref=REF`"
            ));
        }
        if name.is_empty() || name.starts_with('/') {
            return invalid("a directory is named by a relative path".to_owned());
        }
        // Two entries that were indented differently are one text for YAML.
        if name.split('/').any(|part| part != ".." && part.contains("..")) {
            return invalid(format!("`{name}` has `..` inside of a name; check the indentation of this list"));
        }
        self.source.directory(from, name, &entry.place)
    }
}

/// Why an address is neither a file of manifests nor a repository.
fn neither(entry: &Text, as_file: &Error, as_repository: Error) -> Error {
    // What is wrong inside of the repository is what is wrong.
    if as_repository.place() != &entry.place {
        return as_repository;
    }
    let as_file = chain(as_file.problem());
    let (place, problem) = as_repository.into_parts();
    let problem = match problem {
        Problem::Remote(what, source) => Problem::Remote(format!("{what} (as a file: {as_file})"), source),
        other => Problem::Invalid(format!("{}; and as a file: {as_file}", chain(&other))),
    };
    Error::new(place, problem)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
