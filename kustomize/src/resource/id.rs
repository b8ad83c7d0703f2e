//! What tells one object from another: type, namespace and name.

use super::gvk::Gvk;
use std::fmt;

/// The namespace of objects that have none, so that they never equal a namespaced one.
const NOT_NAMESPACED: &str = "_non_namespaceable_";

/// The identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub gvk: Gvk,
    /// The effective namespace: `default` where none is written, a marker for cluster-scoped types.
    pub namespace: String,
    pub name: String,
}

impl Id {
    pub fn new(gvk: Gvk, name: &str, namespace: &str) -> Self {
        let namespace = match namespace {
            _ if gvk.is_cluster_scoped() => NOT_NAMESPACED,
            "" => "default",
            other => other,
        };
        Self { gvk, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub fn is_cluster_scoped(&self) -> bool {
        self.namespace == NOT_NAMESPACED
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.gvk, self.name)?;
        match self.is_cluster_scoped() {
            true => Ok(()),
            false => write!(f, " in namespace `{}`", self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_is_the_namespace_default() {
        let id = |namespace| Id::new(Gvk::new("v1", "Service"), "web", namespace);
        assert_eq!(id(""), id("default"));
        assert_ne!(id(""), id("other"));
        let cluster = |namespace| Id::new(Gvk::new("v1", "Namespace"), "web", namespace);
        assert_eq!(cluster("a"), cluster("b"));
    }
}
