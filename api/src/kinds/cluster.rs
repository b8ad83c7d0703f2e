//! `kind: Cluster`: one cluster and what lapdev may do in it.

use crate::name::{ClusterName, Namespace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One cluster, reached only by the agent that runs in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Its name, unique in the config repository.
    pub name: ClusterName,
    /// Labels, for later selectors.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Which environments may be placed here.
    #[serde(default)]
    pub permissions: Permissions,
    /// Unmanaged namespaces that the agent may read.
    #[serde(default)]
    pub source_namespaces: Vec<Namespace>,
    /// An environment's namespace is this prefix and its name.
    pub namespace_prefix: String,
    /// Previews are served at `<service>--<environment>.<this domain>`.
    pub preview_domain: Option<String>,
}

/// Which environments may be placed in a cluster. All off: it is no target.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permissions {
    /// Personal environments.
    #[serde(default)]
    pub personal: bool,
    /// Shared environments and the Branch environments beside them.
    #[serde(default)]
    pub shared: bool,
    /// Sending a workload's traffic to a developer's machine.
    #[serde(default)]
    pub intercept: bool,
}
