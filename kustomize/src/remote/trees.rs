//! What was fetched in a rendering: each tree once, under the name by which paths say that they lie in it.

use super::repository::without_password;
use super::{Remotes, Repository};
use crate::error::{Error, Place, Problem};
use crate::fs::{FileKind, FileSystem, Found};
use crate::path::{RemoteTree, TreePath};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// The trees and files that were fetched, and who fetches more.
#[derive(Default)]
pub struct Trees<'r> {
    pub remotes: Option<&'r dyn Remotes>,
    fetched: RefCell<BTreeMap<Arc<RemoteTree>, Rc<dyn FileSystem>>>,
}

impl Trees<'_> {
    /// The tree that a path lies in, if it is a fetched one.
    pub fn of(&self, path: &TreePath) -> Option<Rc<dyn FileSystem>> {
        self.fetched.borrow().get(path.tree()?).cloned()
    }

    /// The directory of a repository, which is fetched if it was not yet.
    pub fn repository(&self, repository: &Repository, place: &Place, limit: usize) -> Result<TreePath, Error> {
        let tree = RemoteTree {
            name: format!("{repository}{}", if repository.submodules { "" } else { "&submodules=false" }),
            url: without_password(&repository.url),
            reference: repository.reference.clone().unwrap_or_default(),
            is_file: false,
        };
        let fetch = |remotes: &dyn Remotes| remotes.repository(repository).map(Rc::from);
        Ok(repository.path.in_tree(&self.get(tree, place, limit, fetch)?))
    }

    /// A file of a web server, which is fetched if it was not yet.
    pub fn file(&self, url: &str, place: &Place, limit: usize, bytes: usize) -> Result<TreePath, Error> {
        // The reference says of a file where it would be in a repository.
        let origin = Repository::parse(url);
        let (shown, path, reference) = match origin {
            Some(origin) => (origin.url, origin.path, origin.reference.unwrap_or_default()),
            None => (url.to_owned(), TreePath::root(), String::new()),
        };
        let name = without_password(url);
        let tree = RemoteTree { name, url: without_password(&shown), reference, is_file: true };
        let fetch = |remotes: &dyn Remotes| {
            let content = remotes.file(url, bytes)?;
            Ok(Rc::new(OneFile(content)) as Rc<dyn FileSystem>)
        };
        Ok(path.in_tree(&self.get(tree, place, limit, fetch)?))
    }

    fn get(
        &self,
        tree: RemoteTree,
        place: &Place,
        limit: usize,
        fetch: impl FnOnce(&dyn Remotes) -> Result<Rc<dyn FileSystem>, super::RemoteError>,
    ) -> Result<Arc<RemoteTree>, Error> {
        if let Some((known, _)) = self.fetched.borrow().get_key_value(&tree) {
            return Ok(Arc::clone(known));
        }
        let error = |problem| Error::new(place.clone(), problem);
        if self.fetched.borrow().len() >= limit {
            return Err(error(Problem::TooLarge(limit, "remote trees and files")));
        }
        let remotes = self.remotes.ok_or_else(|| error(Problem::NoRemotes(tree.name.clone())))?;
        let content = fetch(remotes).map_err(|source| error(Problem::Remote(format!("`{}`", tree.name), source)))?;
        let tree = Arc::new(tree);
        self.fetched.borrow_mut().insert(Arc::clone(&tree), content);
        Ok(tree)
    }
}

/// A file alone, whatever its path.
struct OneFile(Vec<u8>);

impl FileSystem for OneFile {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        Ok(Some(Found { path: path.clone(), kind: FileKind::File }))
    }

    fn read(&self, _: &TreePath) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn list(&self, _: &TreePath) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::NotADirectory.into())
    }
}
