//! Many renderings of one tree: what they share is kept in its parsed form, from its second use on.

use crate::budget::weight;
use crate::build;
use crate::error::Error;
use crate::fs::FileSystem;
use crate::helm::Helm;
use crate::object::Object;
use crate::options::Options;
use crate::patch::Types;
use crate::path::TreePath;
use crate::remote::{Remotes, Trees};
use crate::resource::Resource;
use crate::source::Source;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Renders many kustomizations of one tree, such as a thousand overlays of a base, and keeps the
/// parsed objects of the files that they share. The tree must not change meanwhile.
///
/// ```
/// use lapdev_kustomize::{MemoryFileSystem, Options, Renderer, TreePath};
///
/// let fs = MemoryFileSystem::new()
///     .with("base/kustomization.yaml", "resources: [map.yaml]\n")
///     .with("base/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
///     .with("one/kustomization.yaml", "resources: [../base]\nnamePrefix: one-\n")
///     .with("two/kustomization.yaml", "resources: [../base]\nnamePrefix: two-\n");
/// let renderer = Renderer::new(&fs, Options::default());
/// for name in ["one", "two"] {
///     let overlay = TreePath::parse(name).ok_or("leads out of the tree")?;
///     assert_eq!(renderer.render(&overlay)?.len(), 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Renderer<'f> {
    fs: &'f dyn FileSystem,
    options: Options,
    files: ParsedFiles,
    trees: Trees<'f>,
    helm: Option<&'f dyn Helm>,
}

impl<'f> Renderer<'f> {
    /// A renderer that has read nothing yet.
    #[must_use]
    pub fn new(fs: &'f dyn FileSystem, options: Options) -> Self {
        let files = ParsedFiles { read: RefCell::default(), left: Cell::new(options.limits.total) };
        Self { fs, options, files, trees: Trees::default(), helm: None }
    }

    /// Fetches remote bases, resources and files, each once. Without it they are errors.
    #[must_use]
    pub fn with_remotes(mut self, remotes: &'f dyn Remotes) -> Self {
        self.trees.remotes = Some(remotes);
        self
    }

    /// Renders helm charts. Without it they are errors.
    #[must_use]
    pub fn with_helm(mut self, helm: &'f dyn Helm) -> Self {
        self.helm = Some(helm);
        self
    }

    /// Renders the kustomization in the directory `path`.
    ///
    /// # Errors
    /// The first problem met, with its place; see [`Problem`](crate::Problem).
    pub fn render(&self, path: &TreePath) -> Result<Vec<Object>, Error> {
        build::render(self.source(&Types::default()), path)
    }

    /// Renders the directory `path` if it has a kustomization file, and loads its plain manifests if not.
    ///
    /// # Errors
    /// The first problem met, with its place; see [`Problem`](crate::Problem).
    pub fn render_source(&self, path: &TreePath) -> Result<Vec<Object>, Error> {
        build::render_source(self.source(&Types::default()), path)
    }

    fn source<'s>(&'s self, types: &'s Types) -> Source<'s> {
        let Self { fs, options, files, trees, helm } = self;
        Source { fs: *fs, options, types, files: Some(files), trees, helm: *helm }
    }
}

/// The objects of files that were read before, as many as one rendering may hold.
pub struct ParsedFiles {
    /// Nothing for a file that was read only once: most are, and a copy would be for nothing.
    read: RefCell<HashMap<TreePath, Option<Vec<Resource>>>>,
    left: Cell<usize>,
}

impl ParsedFiles {
    /// Whether a file's objects are kept.
    pub fn know(&self, file: &TreePath) -> bool {
        matches!(self.read.borrow().get(file), Some(Some(_)))
    }

    /// A copy of the objects of a file, read only if they are not known.
    pub fn get_or(
        &self,
        file: &TreePath,
        read: impl FnOnce() -> Result<Vec<Resource>, Error>,
    ) -> Result<Vec<Resource>, Error> {
        if let Some(Some(known)) = self.read.borrow().get(file) {
            return Ok(known.clone());
        }
        let resources = read()?;
        if !self.read.borrow().contains_key(file) {
            self.read.borrow_mut().insert(file.clone(), None);
            return Ok(resources);
        }
        let cost: usize = resources.iter().map(|resource| weight(&resource.value)).sum();
        if let Some(left) = self.left.get().checked_sub(cost) {
            self.left.set(left);
            self.read.borrow_mut().insert(file.clone(), Some(resources.clone()));
        }
        Ok(resources)
    }
}
