//! The course of a rendering, in the reference's order. Every kustomization is accumulated on its
//! own, innermost first: resources, generators, components, then its transformers. Once, at the
//! root: hashes, references, order.

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
        entered: 0,
        noting: kustomization.build_metadata.transformations.then(|| root.clone()),
        defaults: Rc::new(FieldSpecs::default()),
        budget,
    };
    kustomization.open_api.choose(source, &root)?;
    let mut all = build.start();
    build.accumulate(&root, &kustomization, &mut all)?;
    finish::finish(all.list, &all.vars, &kustomization, &root, &all.specs, source)
}

/// Whether a directory has a kustomization file.
pub fn has_kustomization(source: Source<'_>, directory: &TreePath) -> Result<bool, Error> {
    let root = source.directory(&TreePath::root(), directory.as_str(), &Place::of(directory))?;
    Ok(kustomization::find(source, &root)?.is_some())
}

/// What a kustomization has gathered: objects, and the field specs that apply to them.
struct Accumulated {
    list: ResourceList,
    specs: Rc<FieldSpecs>,
    vars: Vars,
}

struct Build<'s> {
    source: Source<'s>,
    defaults: Rc<FieldSpecs>,
    /// The directories of the kustomizations that are being accumulated, outermost first.
    visited: Vec<TreePath>,
    /// How many kustomizations were accumulated; a few that include each other twice are many.
    entered: usize,
    /// The rendered directory, if what every transformer changes is to be noted.
    noting: Option<TreePath>,
    budget: Budget,
}

impl Build<'_> {
    fn start(&self) -> Accumulated {
        Accumulated {
            list: ResourceList::new(self.budget.clone()),
            specs: Rc::clone(&self.defaults),
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
        self.entered += 1;
        let limit = self.source.options.limits.kustomizations;
        if self.entered > limit {
            return Err(Error::new(Place::of(directory), Problem::TooLarge(limit, "kustomizations")));
        }
        self.visited.push(directory.clone());
        self.resources(directory, &kustomization.resources, all)?;
        if !kustomization.configurations.is_empty() {
            configurations::add(&kustomization.configurations, self.source, directory, Rc::make_mut(&mut all.specs))?;
        }
        if !kustomization.crds.is_empty() {
            crds::add(&kustomization.crds, self.source, directory, Rc::make_mut(&mut all.specs))?;
        }
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
        self.visited.pop();
        Ok(())
    }

    fn resources(&mut self, directory: &TreePath, entries: &[Text], all: &mut Accumulated) -> Result<(), Error> {
        for entry in entries {
            if is_remote(&entry.value) {
                return Err(Error::new(
                    entry.place.clone(),
                    Problem::Unsupported(format!("the remote resource `{}`", entry.value), "; copy it into the tree"),
                ));
            }
            match self.source.file(directory, &entry.value, &entry.place)? {
                Some(file) => {
                    self.append_read(self.source.objects(&file)?, all)?;
                }
                None => self.base(directory, entry, all)?,
            }
            let limit = self.source.options.limits.objects;
            if all.list.len() > limit {
                return Err(Error::new(entry.place.clone(), Problem::TooLarge(limit, "objects")));
            }
        }
        Ok(())
    }

    fn append_read(&self, read: Vec<Resource>, all: &mut Accumulated) -> Result<(), Error> {
        read.iter().for_each(|resource| self.source.types.meet(&resource.gvk()));
        all.list.append_read(read)
    }

    /// A base has objects of its own, which join the parent's when it is done.
    fn base(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
        let (base, kustomization) = self.enter(directory, entry)?;
        if kustomization.is_component {
            let why = format!("`{}` is a component; list it under `components`", entry.value);
            return Err(Error::new(entry.place.clone(), Problem::Invalid(why)));
        }
        let mut inner = self.start();
        self.accumulate(&base, &kustomization, &mut inner)?;
        if !inner.specs.is_default {
            let conflict = |why| Error::new(entry.place.clone(), Problem::Invalid(why));
            Rc::make_mut(&mut all.specs).add(&inner.specs).map_err(conflict)?;
        }
        all.vars.merge(&inner.vars)?;
        all.list.append_all(inner.list.into_items())
    }

    /// A component changes the objects of its parent.
    fn component(&mut self, directory: &TreePath, entry: &Text, all: &mut Accumulated) -> Result<(), Error> {
        let (base, kustomization) = self.enter(directory, entry)?;
        if !kustomization.is_component {
            let why = format!(
                "`{}` is not a component; list it under `resources`, or set `kind: Component` there",
                entry.value
            );
            return Err(Error::new(entry.place.clone(), Problem::Invalid(why)));
        }
        self.accumulate(&base, &kustomization, all)
    }

    fn enter(&self, directory: &TreePath, entry: &Text) -> Result<(TreePath, Kustomization), Error> {
        if is_remote(&entry.value) {
            return Err(Error::new(
                entry.place.clone(),
                Problem::Unsupported(format!("the remote base `{}`", entry.value), "; copy it into the tree"),
            ));
        }
        if entry.value.is_empty() || entry.value.starts_with('/') {
            return Err(Error::new(
                entry.place.clone(),
                Problem::Invalid("a directory is named by a relative path".to_owned()),
            ));
        }
        let base = self.source.directory(directory, &entry.value, &entry.place)?;
        if self.visited.iter().any(|visited| visited.is_within(&base)) {
            let way: Vec<String> = self.visited.iter().map(ToString::to_string).collect();
            return Err(Error::new(entry.place.clone(), Problem::Cycle(entry.value.clone(), way.join(" → "))));
        }
        let kustomization = kustomization::load(self.source, &base)?;
        kustomization.open_api.choose(self.source, &base)?;
        Ok((base, kustomization))
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
        for config in self.configs(directory, &kustomization.generators)? {
            all.list.absorb(generators::generate(config, self.source, directory)?)?;
        }
        Ok(())
    }

    /// The order is the reference's, whatever the order in the file.
    fn transformers(&self, directory: &TreePath, of: &Kustomization, all: &mut Accumulated) -> Result<(), Error> {
        let source = self.source;
        let Accumulated { list, specs, .. } = all;
        if !of.patches_strategic_merge.is_empty() {
            patches::apply_strategic_merge(&of.patches_strategic_merge, source, directory, list)?;
            self.note("PatchStrategicMergeTransformer", of, list);
        }
        for patch in &of.patches {
            patch.apply(source, directory, list)?;
            self.note("PatchTransformer", of, list);
        }
        self.names(of, specs, list)?;
        self.labels_and_annotations(of, specs, list)?;
        for patch in &of.patches_json6902 {
            patch.apply_json6902(source, directory, list)?;
            self.note("PatchJson6902Transformer", of, list);
        }
        for replica in &of.replicas {
            replica.apply(list, &specs.replicas)?;
            self.note("ReplicaCountTransformer", of, list);
        }
        for image in &of.images {
            image.apply(list, &specs.images)?;
            self.note("ImageTagTransformer", of, list);
        }
        for replacement in &of.replacements {
            replacement.apply(source, directory, list)?;
        }
        if !of.replacements.is_empty() {
            self.note("ReplacementTransformer", of, list);
        }
        Ok(())
    }

    fn names(&self, of: &Kustomization, specs: &FieldSpecs, list: &mut ResourceList) -> Result<(), Error> {
        if !of.namespace.is_empty() {
            Move::to(&of.namespace, specs.namespace.clone()).apply(list)?;
            self.note("NamespaceTransformer", of, list);
        }
        if !of.name_prefix.is_empty() {
            names::apply(list, Affix::Prefix(&of.name_prefix), &specs.prefixes)?;
            self.note("PrefixTransformer", of, list);
        }
        if !of.name_suffix.is_empty() {
            names::apply(list, Affix::Suffix(&of.name_suffix), &specs.suffixes)?;
            self.note("SuffixTransformer", of, list);
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
            self.note("LabelTransformer", of, list);
        }
        if !of.labels.is_empty() || !of.common_labels.is_empty() {
            pairs::set(list, &of.common_labels, &specs.common_labels)?;
            self.note("LabelTransformer", of, list);
        }
        if !of.common_annotations.is_empty() {
            pairs::set(list, &of.common_annotations, &specs.common_annotations)?;
            self.note("AnnotationsTransformer", of, list);
        }
        Ok(())
    }

    /// Notes that a field of a kustomization has changed the objects, if that is wanted.
    fn note(&self, kind: &str, of: &Kustomization, list: &mut ResourceList) {
        if let Some(rendered) = &self.noting {
            Plugin::of_field(kind).note(list, rendered, &of.file);
        }
    }
}

/// Whether the reference would fetch this from a network.
fn is_remote(path: &str) -> bool {
    path.contains("://")
        || path.starts_with("git@")
        || path.starts_with("github.com/")
        || path.starts_with("git::")
        || path.contains("?ref=")
}
