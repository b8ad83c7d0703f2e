//! The course of a rendering, in the reference's order. Every kustomization is accumulated on its
//! own, innermost first: resources, generators, components, then its transformers. Once, at the
//! root: hashes, references, order.

mod bases;
mod read_ahead;
mod resources;
mod transform;

use crate::budget::Budget;
use crate::error::{Error, Place, Problem};
use crate::field_spec::FieldSpecs;
use crate::fields::vars::Vars;
use crate::fields::{configurations, crds, generators, transformers};
use crate::finish;
use crate::kustomization::{self, Kustomization, Text};
use crate::object::Object;
use crate::path::TreePath;
use crate::plain;
use crate::resource::ResourceList;
use crate::source::Source;
use bases::{Bases, Entered};
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
}
