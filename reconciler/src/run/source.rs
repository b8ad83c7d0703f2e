//! A catalog's objects at a commit, rendered once for as long as its tree stays the same.

use super::{
    error_chain,
    memo::Memo,
    world::{World, tip},
};
use crate::{
    git::{Bases, Mirror},
    render::Sourced,
    validate::is_passing,
};
use lapdev_api::{
    digest::Digest,
    kinds::{AppCatalog, Source},
    name::Commit,
};
use lapdev_kustomize::{FileKind, FileSystem as _, Options, Renderer, TreePath};
use std::sync::Arc;

/// A folder of a commit.
#[derive(Debug, Clone)]
pub(super) struct Place<'w> {
    pub mirror: &'w Mirror,
    pub commit: Commit,
    pub path: &'w str,
    pub bases: &'w Bases,
}

/// What was rendered there. Two of the same key are the same objects.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub key: Digest,
    pub objects: Arc<Vec<Sourced>>,
}

/// Rendered sources, by the id of their tree and the folder in it.
#[derive(Debug, Default)]
pub(super) struct Sources {
    rendered: Memo<Digest, Rendered>,
}

/// Objects, or why the same tree will never give any.
type Rendered = Result<Objects, String>;

impl Sources {
    /// The objects at a place.
    pub fn objects(&mut self, place: &Place<'_>) -> Result<Objects, String> {
        self.look(place)?
    }

    /// The same, for whom it matters why there are none: an outer error may pass, such as of a remote base that cannot be
    /// fetched now; an inner one lasts as long as the commit.
    pub fn look(&mut self, place: &Place<'_>) -> Result<Rendered, String> {
        let tree = place.mirror.tree(&place.commit).map_err(|error| error_chain(&error))?;
        // Equal trees have equal content wherever they are, so neither repository nor commit is part of the key. Remote
        // bases that they name are pinned to commits.
        let key = Digest::of(format!("{}\0{}", tree.id(), place.path).as_bytes());
        self.rendered.get(key, || {
            let found = match TreePath::parse(place.path) {
                Some(path) => tree.find(&path).map_err(|error| error_chain(&error))?,
                None => None,
            };
            let Some(folder) = found.filter(|found| found.kind == FileKind::Directory) else {
                // No commit in the text: other commits have the same tree, and are told the same.
                return Ok(Err(format!("there is no folder {}", place.path)));
            };
            let renderer = Renderer::new(&tree, Options::default()).with_remotes(place.bases);
            let objects = match renderer.render_source(&folder.path) {
                Ok(objects) => objects,
                Err(error) if is_passing(error.problem()) => return Err(error_chain(&error)),
                Err(error) => return Ok(Err(error_chain(&error))),
            };
            if objects.is_empty() {
                // An empty source would prune everything that runs; nobody means that.
                return Ok(Err(format!("{} holds no objects", place.path)));
            }
            let objects = Arc::new(objects.into_iter().map(Sourced::from).collect());
            Ok(Ok(Objects { key, objects }))
        })
    }

    /// See [`Memo::sweep`].
    pub fn sweep(&mut self) {
        self.rendered.sweep();
    }
}

/// Which revision of a source an environment is rendered from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Revision<'r> {
    /// The one that it keeps; none: it follows.
    pub pin: Option<&'r Commit>,
    /// The one that it was last rendered from, which serves while a newer one cannot be seen.
    pub last: Option<&'r Commit>,
}

/// Where the objects of a catalog are.
pub(super) fn place<'w>(
    world: &'w World,
    catalog: &'w AppCatalog,
    revision: Revision<'_>,
) -> Result<Place<'w>, String> {
    match &catalog.source {
        Source::Path { path } => {
            let commit = revision.pin.unwrap_or(&world.in_force.commit).clone();
            Ok(Place { mirror: &world.in_force.mirror, commit, path, bases: &world.bases })
        }
        Source::Repository { repository, path, branch } => {
            let unread = || format!("repository {repository} was not read yet");
            let seen = world.seen.get(repository).ok_or_else(unread)?;
            let refs = &seen.repository.refs;
            let last = revision.last.filter(|_| refs.known().is_none());
            let commit = revision.pin.or_else(|| tip(refs, branch)).or(last);
            let commit = commit.cloned().ok_or_else(|| match refs.unknown_because() {
                Some(why) => format!("repository {repository} cannot be read: {why}"),
                None => {
                    format!("{repository} has no branch {branch}; correct `source.ref` of catalog {}", catalog.name)
                }
            })?;
            Ok(Place { mirror: seen.mirror.as_ref().ok_or_else(unread)?, commit, path, bases: &world.bases })
        }
    }
}
