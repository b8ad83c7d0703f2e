//! Globs over paths and branch names: `*` stays within a folder, `**` crosses them, as in `.gitignore` and CI systems.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A compiled list of globs. An empty list matches everything, because that is what leaving `paths` out means.
#[derive(Debug, Clone)]
pub struct Globs(Option<GlobSet>);

impl Globs {
    /// Compiles a list.
    ///
    /// # Errors
    /// The first glob that is not one.
    pub fn new(patterns: &[String]) -> Result<Self, globset::Error> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(compile(pattern)?);
        }
        set.build().map(|set| Self(Some(set)))
    }

    /// Whether one of them matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(text))
    }
}

pub(super) fn compile(pattern: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()
}
