//! The course of a rendering, in the reference's order. Every kustomization is accumulated on its
//! own, innermost first: resources, generators, components, then its transformers. Once, at the
//! root: hashes, references, order.

use crate::bases::{self, Bases, Entered, Kept};
use crate::budget::Budget;
use crate::error::{Error, Place, Problem};
use crate::field_spec::FieldSpecs;
use crate::fields::build_metadata::Plugin;
use crate::fields::names::{self, Affix};
use crate::fields::namespace::Move;
use crate::fields::vars::Vars;
use crate::fields::{configurations, crds, generators, pairs, patches, transformers};
use crate::finish;
use crate::kustomization::{self, Kustomization, Text};
use crate::object::Object;
use crate::path::TreePath;
use crate::plain;
use crate::read_ahead::{self, Read};
use crate::remote::{Remote, Repository, is_local};
use crate::resource::{self, Resource, ResourceList};
use crate::source::Source;
use std::rc::Rc;

/// Renders the kustomization in a directory.
pub fn render(source: Source<'_>, directory: &TreePath) -> Result<Vec<Object>, Error> {
    let root = source.directory(&TreePath::root(), directory.as_str(), &Place::of(directory))?;
    let kustomization = kustomization::load(source, &root)?;
    let budget = Budget::new(source.options.limits.total);
    let mut build = Build {
        source,
        visited: Vec::new(),
        entered: Vec::new(),
        bases: Bases::default(),
        helm_namespace: String::new(),
        charts: 0,
        noting: kustomization.build_metadata.transformations.then(|| root.clone()),
        defaults: Rc::new(FieldSpecs::built_in()),
        budget,
    };
    kustomization.open_api.choose(source, &root)?;
    let mut all = build.start();
    build.accumulate(&root, &kustomization, &mut all)?;
    finish::finish(all.list, &all.vars, &kustomization, &root, &all.specs, source)
}

/// Renders a directory with a kustomization file, and loads the plain manifests of another.
pub fn render_source(source: Source<'_>, directory: &TreePath) -> Result<Vec<Object>, Error> {
    let root = source.directory(&TreePath::root(), directory.as_str(), &Place::of(directory))?;
    match kustomization::find(source, &root)? {
        Some(_) => render(source, directory),
        None => plain::load(source, directory),
    }
}

/// What a kustomization has gathered: objects, and the field specs that apply to them.
#[derive(Clone)]
pub struct Accumulated {
    list: ResourceList,
    specs: Rc<FieldSpecs>,
    vars: Vars,
}

struct Build<'s> {
    source: Source<'s>,
    defaults: Rc<FieldSpecs>,
    /// The directories of the kustomizations that are being accumulated, outermost first.
    visited: Vec<TreePath>,
    /// Every kustomization that was accumulated; a few that include each other twice are many.
    entered: Vec<Entered>,
    bases: Bases,
    /// The namespace for charts of the kustomization that is being accumulated.
    helm_namespace: String,
    /// How many charts were made so far.
    charts: usize,
    /// The rendered directory, if what every transformer changes is to be noted.
    noting: Option<TreePath>,
    budget: Budget,
}

impl Build<'_> {
    fn start(&self) -> Accumulated {
        Accumulated {
            list: ResourceList::new(self.budget.clone()),
            specs: Rc::new(FieldSpecs::nothing()),
            vars: Vars::default(),
        }
    }

    /// Adds what a kustomization yields to a list that holds its parent's objects if it is a component.
    fn accumulate(
        &mut self,
        directory: &TreePath,
        kustomization: &Kustomization,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let limit = self.source.options.limits.bases;
        if self.visited.len() >= limit {
            return Err(Error::new(Place::of(directory), Problem::TooDeep(limit)));
        }
        self.entered.push(Entered { directory: directory.clone(), depth: self.visited.len() });
        let limit = self.source.options.limits.kustomizations;
        if self.entered.len() > limit {
            return Err(Error::new(Place::of(directory), Problem::TooLarge(limit, "kustomizations")));
        }
        self.visited.push(directory.clone());
        let inherited = self.helm_namespace.clone();
        if !kustomization.namespace.is_empty() {
            self.helm_namespace.clone_from(&kustomization.namespace);
        }
        self.resources(directory, &kustomization.resources, all)?;
        self.field_specs(directory, kustomization, &mut all.specs)?;
        self.generators(directory, kustomization, all)?;
        for entry in &kustomization.components {
            self.component(directory, entry, all)?;
        }
        self.transformers(directory, kustomization, all)?;
        let configs = self.configs(directory, &kustomization.transformers)?;
        transformers::apply(configs, self.source, directory, self.noting.as_ref(), &mut all.list)?;
        let configs = self.configs(directory, &kustomization.validators)?;
        transformers::validate(configs, self.source, directory, &mut all.list)?;
        if !kustomization.vars.is_empty() {
            all.vars.add(&kustomization.vars, &mut all.list)?;
        }
        self.helm_namespace = inherited;
        self.visited.pop();
        Ok(())
    }

    /// Adds the built-in field specs with those of the kustomization's own files to its bases'.
    fn field_specs(&self, directory: &TreePath, of: &Kustomization, all: &mut Rc<FieldSpecs>) -> Result<(), Error> {
        let conflict = |entries: &[Text], why| {
            let place = entries.first().map_or_else(|| Place::of(directory), |entry| entry.place.clone());
            Error::new(place, Problem::Invalid(why))
        };
        let mut own = Rc::clone(&self.defaults);
        if !of.configurations.is_empty() {
            let read = configurations::read(&of.configurations, self.source, directory)?;
            FieldSpecs::join(&mut own, &Rc::new(read)).map_err(|why| conflict(&of.configurations, why))?;
        }
        FieldSpecs::join(all, &own).map_err(|why| conflict(&of.configurations, why))?;
        if !of.crds.is_empty() {
            let read = crds::read(&of.crds, self.source, directory)?;
            FieldSpecs::join(all, &Rc::new(read)).map_err(|why| conflict(&of.crds, why))?;
        }
        Ok(())
    }

    fn resources(&mut self, directory: &TreePath, entries: &[Text], all: &mut Accumulated) -> Result<(), Error> {
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
    fn component(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
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

    /// The objects that configure generators, transformers or validators: in place, in files or in bases.
    fn configs(&mut self, directory: &TreePath, entries: &[Text]) -> Result<Vec<Resource>, Error> {
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

    fn generators(
        &mut self,
        directory: &TreePath,
        kustomization: &Kustomization,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let options = &kustomization.generator_options;
        for generator in &kustomization.config_maps {
            all.list.absorb(generator.generate(self.source, directory, options)?)?;
        }
        for generator in &kustomization.secrets {
            all.list.absorb(generator.generate(self.source, directory, options)?)?;
        }
        self.charts += kustomization.charts.len();
        for chart in &kustomization.charts {
            for made in chart.generate(self.source, directory, &self.helm_namespace)? {
                self.source.types.meet(&made.gvk());
                all.list.absorb(made)?;
            }
        }
        for config in self.configs(directory, &kustomization.generators)? {
            for made in generators::generate(config, self.source, directory)? {
                all.list.absorb(made)?;
            }
        }
        Ok(())
    }

    /// The order is the reference's, whatever the order in the file.
    fn transformers(&self, directory: &TreePath, of: &Kustomization, all: &mut Accumulated) -> Result<(), Error> {
        let source = self.source;
        let Accumulated { list, specs, .. } = all;
        if !of.patches_strategic_merge.is_empty() {
            patches::apply_strategic_merge(&of.patches_strategic_merge, source, directory, list)?;
            self.note("PatchStrategicMergeTransformer", of, list)?;
        }
        for patch in &of.patches {
            patch.apply(source, directory, list)?;
            self.note("PatchTransformer", of, list)?;
        }
        self.names(of, specs, list)?;
        self.labels_and_annotations(of, specs, list)?;
        for patch in &of.patches_json6902 {
            patch.apply_json6902(source, directory, list)?;
            self.note("PatchJson6902Transformer", of, list)?;
        }
        for replica in &of.replicas {
            replica.apply(list, &specs.replicas)?;
            self.note("ReplicaCountTransformer", of, list)?;
        }
        for image in &of.images {
            image.apply(list, &specs.images)?;
            self.note("ImageTagTransformer", of, list)?;
        }
        for replacement in &of.replacements {
            replacement.apply(source, directory, list)?;
        }
        if !of.replacements.is_empty() {
            self.note("ReplacementTransformer", of, list)?;
        }
        Ok(())
    }

    fn names(&self, of: &Kustomization, specs: &FieldSpecs, list: &mut ResourceList) -> Result<(), Error> {
        if !of.namespace.is_empty() {
            Move::to(&of.namespace, specs.namespace.clone()).apply(list, self.source.types)?;
            self.note("NamespaceTransformer", of, list)?;
        }
        if !of.name_prefix.is_empty() {
            names::apply(list, Affix::Prefix(&of.name_prefix), &specs.prefixes)?;
            self.note("PrefixTransformer", of, list)?;
        }
        if !of.name_suffix.is_empty() {
            names::apply(list, Affix::Suffix(&of.name_suffix), &specs.suffixes)?;
            self.note("SuffixTransformer", of, list)?;
        }
        Ok(())
    }

    fn labels_and_annotations(
        &self,
        of: &Kustomization,
        specs: &FieldSpecs,
        list: &mut ResourceList,
    ) -> Result<(), Error> {
        for labels in &of.labels {
            labels.apply(list, specs)?;
            self.note("LabelTransformer", of, list)?;
        }
        if !of.labels.is_empty() || !of.common_labels.is_empty() {
            pairs::set(list, &of.common_labels, &specs.common_labels)?;
            self.note("LabelTransformer", of, list)?;
        }
        if !of.common_annotations.is_empty() {
            pairs::set(list, &of.common_annotations, &specs.common_annotations)?;
            self.note("AnnotationsTransformer", of, list)?;
        }
        Ok(())
    }

    /// Notes that a field of a kustomization has changed the objects, if that is wanted.
    fn note(&self, kind: &str, of: &Kustomization, list: &mut ResourceList) -> Result<(), Error> {
        match &self.noting {
            Some(rendered) => Plugin::of_field(kind).note(list, rendered, &of.file),
            None => Ok(()),
        }
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
