//! Paths inside a [`FileSystem`](crate::FileSystem): always normalised, always below its root.
//!
//! A `TreePath` cannot hold `.` or `..`, so that comparing two of them compares places. It knows
//! nothing about symbolic links: the file system resolves those in `find`.

use std::fmt;

/// A normalised, `/`-separated path relative to the root of a file system; empty means the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

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
        Some(Self(parts.join("/")))
    }

    /// The path's components, outermost first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The directory that holds this path; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned()))
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this path is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        match self.0.strip_prefix(&directory.0) {
            Some(rest) => directory.0.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The path as text, without a leading `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
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
