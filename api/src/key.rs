//! The routing key of an environment: at most 23 characters, stable for the life of a branch, legal as a DNS label, a
//! label value and a `tracestate` value.
//!
//! It is `<slug of the ref, at most 16>-<6 base32 characters of a hash of catalog, repository id and ref>`: readable
//! first, distinct always. A ref without one letter or digit has the slug `branch`.

use crate::{
    digest::short_hash,
    name::{BranchRef, CatalogName, NameError, RepositoryId, is_dns_label},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The key of the workloads that belong to no branch.
pub const BASELINE: &str = "baseline";
const MAX_SLUG: usize = 16;
const MAX_KEY: usize = 23;

/// A routing key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentKey(String);

impl EnvironmentKey {
    /// The key of the environment that this branch of this repository has in this catalog.
    #[must_use]
    pub fn derive(catalog: &CatalogName, repository: &RepositoryId, branch: &BranchRef) -> Self {
        let hash = short_hash(&[catalog.as_str(), repository.as_str(), branch.as_str()], 6);
        Self(format!("{}-{hash}", slug(branch.as_str())))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case letters and digits, every run of others one `-`; cut, and never empty.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(MAX_SLUG);
    let slug = slug.trim_end_matches('-');
    // A composed name must be DNS-1035 where it stands alone, and those begin with a letter.
    match slug.chars().next() {
        None => "branch".to_owned(),
        Some(c) if c.is_ascii_digit() => {
            format!("b{}", &slug[..slug.len().min(MAX_SLUG - 1)]).trim_end_matches('-').to_owned()
        }
        Some(_) => slug.to_owned(),
    }
}

impl FromStr for EnvironmentKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() <= MAX_KEY && is_dns_label(text) && text != BASELINE {
            return Ok(Self(text.to_owned()));
        }
        let expected = "a DNS label of at most 23 characters other than 'baseline'";
        Err(NameError { what: "environment key", value: text.to_owned(), expected })
    }
}

impl TryFrom<String> for EnvironmentKey {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<EnvironmentKey> for String {
    fn from(key: EnvironmentKey) -> String {
        key.0
    }
}

impl fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn derive(branch: &str) -> EnvironmentKey {
        let catalog = "shop".parse().expect("a legal name");
        let repository = "42".parse().expect("a legal id");
        EnvironmentKey::derive(&catalog, &repository, &branch.parse().expect("a legal branch"))
    }

    #[test]
    fn hostile_branch_names_give_legal_and_distinct_keys() {
        let long = "x".repeat(250);
        let longer = format!("{}y", "x".repeat(249));
        let names = [
            "feature/x",
            "feature-x",
            "Feature/X",
            "🚀🚀",
            "...",
            "a..b",
            "///",
            "123",
            "1/2",
            &long,
            &longer,
            "baseline",
            "ünïcode",
        ];
        let keys: std::collections::BTreeSet<_> = names.iter().map(|n| derive(n).to_string()).collect();
        assert_eq!(keys.len(), names.len());
        for key in keys {
            assert!(key.parse::<EnvironmentKey>().is_ok(), "{key}");
            assert!(key.starts_with(|c: char| c.is_ascii_lowercase()), "{key}");
        }
    }

    #[test]
    fn a_key_is_the_same_for_ever() {
        // Written down, because a change would orphan every running branch environment.
        assert_eq!(derive("feature/new-cart").as_str(), "feature-new-cart-e2ag7v");
    }

    proptest! {
        #[test]
        fn every_legal_branch_has_a_legal_key(branch in "[^ ~^:?*\\[\\\\\\p{C}-][^ ~^:?*\\[\\\\\\p{C}]{0,80}") {
            let key = derive(&branch);
            prop_assert!(key.as_str().parse::<EnvironmentKey>().is_ok(), "{key}");
        }
    }
}
