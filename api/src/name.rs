//! Newtypes for every name that crosses a boundary. Each is built only by `FromStr`, so that holding one proves that
//! it is legal; the rules are those of Kubernetes (RFC 1123 labels), of git, and of our own identities.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest name that lapdev composes (`web--<key>`): StatefulSets and CronJobs append up to 11 characters of
/// their own, within the 63 of a label.
pub const MAX_COMPOSED: usize = 52;

/// A name that breaks the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a legal {what}: expected {expected}")]
pub struct NameError {
    /// Which newtype refused it.
    pub what: &'static str,
    /// The text as it was given.
    pub value: String,
    /// The rule, in words.
    pub expected: &'static str,
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal, $legal:path, $expected:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                if $legal(&value) {
                    Ok(Self(value))
                } else {
                    Err(NameError { what: $what, value, expected: $expected })
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

const LABEL_RULE: &str = "a DNS label: 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit";

text_newtype!(
    /// The name of a `Cluster`.
    ClusterName, "cluster name", is_dns_label, LABEL_RULE
);
text_newtype!(
    /// The name of an `AppCatalog`.
    CatalogName, "catalog name", is_dns_label, LABEL_RULE
);
text_newtype!(
    /// The name of an environment; for a derived Branch environment it equals its key.
    EnvironmentName, "environment name", is_dns_label, LABEL_RULE
);
text_newtype!(
    /// The name of a Kubernetes namespace.
    Namespace, "namespace", is_dns_label, LABEL_RULE
);
text_newtype!(
    /// The id that a control plane writes on every object of its own. It follows from what the control plane is for
    /// ([`ControlPlaneId::derive`]), so that one whose store is lost knows its objects again.
    ControlPlaneId, "control plane id", is_short_id, "16 base32 characters (a-z, 2-7)"
);
text_newtype!(
    /// The identity of one life of one environment: random, never used again after the environment's end.
    Uid, "environment uid", is_short_id, "16 base32 characters (a-z, 2-7)"
);
text_newtype!(
    /// A git commit id, full length.
    Commit, "commit", is_commit, "40 or 64 lower-case hexadecimal digits"
);
text_newtype!(
    /// A repository as people write it: `owner/name`, groups below groups allowed.
    RepositoryName, "repository", is_repository, "owner/name"
);
text_newtype!(
    /// The forge's own, rename-proof id of a repository, as text.
    RepositoryId, "repository id", is_repository_id, "1 to 128 printable characters without spaces"
);
text_newtype!(
    /// A branch, without `refs/heads/`.
    BranchRef, "branch", is_branch, "a git branch name without 'refs/heads/', without spaces or control characters"
);

impl ControlPlaneId {
    /// The id of the control plane that people reach at `external_url` and that follows this part of a config
    /// repository. Stores keep the id that they began with, so a change of any of these changes nothing by itself.
    #[must_use]
    pub fn derive(external_url: &str, repository: &RepositoryName, branch: &BranchRef, path: &str) -> Self {
        let (url, path) = (external_url.trim_end_matches('/'), path.trim_matches('/'));
        let parts = ["lapdev control plane v1", url, repository.as_str(), branch.as_str(), path];
        Self(crate::digest::short_hash(&parts, 16))
    }
}

/// Counts the published states of one environment; a state of an older generation is refused everywhere.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An id of 80 random bits, given by the caller, as 16 lower-case base32 characters.
#[must_use]
pub fn short_id(random: [u8; 10]) -> String {
    data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase()
}

/// Joins two names by `--` within [`MAX_COMPOSED`] characters. A longer result is cut and carries a hash of the whole,
/// so that two long names stay distinct; the suffix is kept whole, since selectors and links are built from it.
#[must_use]
pub fn compose(name: &str, suffix: &str) -> String {
    let whole = format!("{name}--{suffix}");
    if whole.len() <= MAX_COMPOSED {
        return whole;
    }
    let hash = crate::digest::short_hash(&[&whole], 6);
    let room = MAX_COMPOSED.saturating_sub(suffix.len() + hash.len() + 3);
    let head: String = name.chars().take(room).collect();
    format!("{}-{hash}--{suffix}", head.trim_end_matches('-'))
}

/// Whether `text` is an RFC 1123 label.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_short_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_repository(text: &str) -> bool {
    let segment = |s: &str| {
        !s.is_empty() && s != "." && s != ".." && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    text.len() <= 256 && text.contains('/') && text.split('/').all(segment)
}

fn is_repository_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_branch(text: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !text.is_empty() && text.len() <= 1024 && !text.starts_with('-') && !text.contains(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_lower_case_and_bounded() {
        for good in ["a", "shop-1", &"x".repeat(63)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ü", &"x".repeat(64)] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_control_plane_is_known_again_and_is_not_its_neighbour() {
        let id = |url: &str, repository: &str, branch: &str, path: &str| {
            let (repository, branch) = (repository.parse().expect("legal"), branch.parse().expect("legal"));
            ControlPlaneId::derive(url, &repository, &branch, path)
        };
        let known = id("https://lapdev.example.com", "acme/environments", "main", "lapdev");
        // Written into clusters, so it must be the same for ever.
        assert_eq!(known.as_str(), "c7z2yxtrp76l4y2e");
        assert_eq!(known.as_str().parse(), Ok(known.clone()));
        assert_eq!(id("https://lapdev.example.com/", "acme/environments", "main", "lapdev/"), known);
        for other in [
            id("https://lapdev.example.org", "acme/environments", "main", "lapdev"),
            id("https://lapdev.example.com", "acme/environment", "main", "lapdev"),
            id("https://lapdev.example.com", "acme/environments", "next", "lapdev"),
            id("https://lapdev.example.com", "acme/environments", "main", "."),
        ] {
            assert_ne!(other, known);
        }
    }

    #[test]
    fn composed_names_are_bounded_and_distinct() {
        let long = "a".repeat(60);
        let other = format!("{}b", "a".repeat(59));
        let (one, two) = (compose(&long, "feature-x-abc234"), compose(&other, "feature-x-abc234"));
        assert_ne!(one, two);
        assert!(one.len() <= MAX_COMPOSED && is_dns_label(&one), "{one}");
        assert!(one.ends_with("--feature-x-abc234"));
        assert_eq!(compose("web", "k"), "web--k");
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        let error = "Shop".parse::<CatalogName>().expect_err("upper case is illegal");
        assert_eq!(error.to_string(), format!("\"Shop\" is not a legal catalog name: expected {LABEL_RULE}"));
    }
}
