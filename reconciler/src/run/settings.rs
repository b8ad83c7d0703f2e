//! What an operator sets about the reconciler; `serve` fills it from `lapdev.toml`.

use crate::{
    git::{GitSettings, RepositoryUrl},
    plan::Limits,
    render::RouterSettings,
};
use lapdev_api::name::{BranchRef, RepositoryName};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use url::Url;

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The config repository.
    pub config_repository: RepositoryName,
    /// Its branch that is in force.
    pub config_branch: BranchRef,
    /// Its folder that is read, from the repository's root; `.` is the whole tree.
    pub config_path: String,
    /// Where repositories are fetched, if not at the forge's clone address.
    pub repositories: BTreeMap<RepositoryName, RepositoryUrl>,
    /// The folder for git mirrors. One process at a time may use it.
    pub mirrors: PathBuf,
    /// How repositories are reached.
    pub git: GitSettings,
    /// With what the addresses of remote bases of kustomizations may begin; none: they are refused.
    pub remote_bases: Vec<RepositoryUrl>,
    /// How often everything is looked at, webhook or not.
    pub poll: Duration,
    /// How the routers of each base are set up.
    pub router: RouterSettings,
    /// The guard against mass deletion.
    pub limits: Limits,
    /// How people reach the control plane; links to previews have its scheme and port.
    pub external_url: Url,
    /// The least time between two rounds of comments and commit statuses; what changes meanwhile is written once.
    pub report_interval: Duration,
    /// The longest that one call to the forge may take, whatever its own timeouts are.
    pub forge_timeout: Duration,
}

impl Settings {
    /// The settings with defaults for all that has one.
    #[must_use]
    pub fn new(
        config_repository: RepositoryName,
        config_branch: BranchRef,
        mirrors: PathBuf,
        external_url: Url,
    ) -> Self {
        Self {
            config_repository,
            config_branch,
            config_path: ".".to_owned(),
            repositories: BTreeMap::new(),
            mirrors,
            git: GitSettings::default(),
            remote_bases: Vec::new(),
            poll: Duration::from_secs(60),
            router: RouterSettings::default(),
            limits: Limits::default(),
            external_url,
            report_interval: Duration::from_secs(2),
            forge_timeout: Duration::from_secs(60),
        }
    }
}
