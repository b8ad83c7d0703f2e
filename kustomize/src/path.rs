//! Paths inside a [`FileSystem`](crate::FileSystem): always normalised, always below its root.
//!
//! A `TreePath` cannot hold `.` or `..`, so that comparing two of them compares places. It knows
//! nothing about symbolic links: the file system resolves those in `find`.
//!
//! A path of a rendering may lie in a tree that was fetched on the way. No path leads from one tree to another.

use std::fmt;
use std::sync::Arc;

/// A normalised, `/`-separated path relative to the root of a file system; empty means the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath {
    /// The fetched tree; `None` is the one that is rendered.
    tree: Option<Arc<RemoteTree>>,
    path: String,
}

/// Which fetched tree a path lies in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteTree {
    /// Address and ref, for messages. Two of the same name are the same tree.
    pub name: String,
    /// The repository alone.
    pub url: String,
    /// Its ref; empty if none was asked for.
    pub reference: String,
    /// Whether it is a single file.
    pub is_file: bool,
}

impl TreePath {
    /// The root of the file system.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses a path; a leading `/` means the root of the file system. `None` if `..` leads out of it.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        Self::root().join(path)
    }

    /// Follows `relative` from here, or from the root if it starts with `/`. `None` if `..` leads out of the root.
    #[must_use]
    pub fn join(&self, relative: &str) -> Option<Self> {
        let mut parts: Vec<&str> = match relative.starts_with('/') {
            true => Vec::new(),
            false => self.parts().collect(),
        };
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                name => parts.push(name),
            }
        }
        Some(Self { tree: self.tree.clone(), path: parts.join("/") })
    }

    /// The path's components, outermost first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|part| !part.is_empty())
    }

    /// The directory that holds this path; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.path.is_empty() {
            return None;
        }
        let path = self.path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
        Some(Self { tree: self.tree.clone(), path })
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this path is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        match self.path.strip_prefix(&directory.path).filter(|_| self.tree == directory.tree) {
            Some(rest) => directory.path.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The path as text, without a leading `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether this is a path of a tree that was fetched on the way, and not of the rendered one.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.tree.is_some()
    }

    pub(crate) fn tree(&self) -> Option<&Arc<RemoteTree>> {
        self.tree.as_ref()
    }

    /// The same path in a fetched tree.
    pub(crate) fn in_tree(&self, tree: &Arc<RemoteTree>) -> Self {
        Self { tree: Some(Arc::clone(tree)), path: self.path.clone() }
    }

    /// The same path as the tree itself knows it.
    pub(crate) fn in_itself(&self) -> Self {
        Self { tree: None, path: self.path.clone() }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tree {
            None => f.write_str(if self.path.is_empty() { "." } else { &self.path }),
            Some(tree) if tree.is_file => f.write_str(&tree.name),
            Some(tree) => write!(f, "{}//{}", tree.name, self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).expect("stays inside the root")
    }

    #[test]
    fn dots_are_resolved_and_never_lead_out() {
        assert_eq!(path("a/./b//c/..").as_str(), "a/b");
        assert_eq!(path("a/b").join("../../c").map(|p| p.to_string()).as_deref(), Some("c"));
        assert_eq!(path("a/b").join("/c").map(|p| p.to_string()).as_deref(), Some("c"));
        assert_eq!(path("a").join("../../c"), None);
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_within() {
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&TreePath::root()));
        assert!(!path("ab").is_within(&path("a")));
    }
}
