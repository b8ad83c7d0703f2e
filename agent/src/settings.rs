//! What the agent is told by its environment variables.

use crate::lease::LeaseSettings;
use std::{path::PathBuf, time::Duration};
use url::Url;

/// The variables, for `--help`.
pub const VARIABLES: &str = "\
  LAPDEV_URL               the control plane's external address, https://…
  LAPDEV_TOKEN_FILE        file with the cluster's token (lapdev token create)
  LAPDEV_CA_FILE           PEM certificates to trust besides the system's
  LAPDEV_NAMESPACE         the agent's own namespace, where its Lease is [lapdev-agent]
  LAPDEV_LEASE             the Lease's name [lapdev-agent]
  LAPDEV_IDENTITY          who holds the Lease; the pod's name [HOSTNAME]
  LAPDEV_ENVIRONMENT_ROLE  the ClusterRole that the agent binds itself to [lapdev-environment]
  KUBECONFIG               outside a cluster: how to reach its API server
  HTTPS_PROXY, NO_PROXY    how to reach the control plane
  RUST_LOG                 what to log [info]";

/// Everything that the agent must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The control plane's address.
    pub url: Url,
    /// Where its token is.
    pub token_file: PathBuf,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The ClusterRole that the agent binds itself to.
    pub role: String,
    /// Its Lease.
    pub lease: LeaseSettings,
}

/// A variable that is missing or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It must be there.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// It is no address of a control plane.
    #[error("LAPDEV_URL {0:?} is no http:// or https:// address")]
    Url(String),
}

const LEASE: Duration = Duration::from_secs(15);

impl Settings {
    /// Reads them by this look-up.
    ///
    /// # Errors
    /// At the first variable that is missing or makes no sense.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let or = |name: &str, otherwise: &str| given(name).unwrap_or_else(|| otherwise.to_owned());
        let url = given("LAPDEV_URL").ok_or(SettingsError::Missing("LAPDEV_URL"))?;
        let parsed = url.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let identity = given("LAPDEV_IDENTITY").or_else(|| given("HOSTNAME"));
        let lease = LeaseSettings {
            namespace: or("LAPDEV_NAMESPACE", "lapdev-agent"),
            name: or("LAPDEV_LEASE", "lapdev-agent"),
            identity: identity.ok_or(SettingsError::Missing("LAPDEV_IDENTITY"))?,
            duration: LEASE,
        };
        Ok(Self {
            url: parsed.ok_or(SettingsError::Url(url))?,
            token_file: given("LAPDEV_TOKEN_FILE").ok_or(SettingsError::Missing("LAPDEV_TOKEN_FILE"))?.into(),
            ca_file: given("LAPDEV_CA_FILE").map(Into::into),
            role: or("LAPDEV_ENVIRONMENT_ROLE", "lapdev-environment"),
            lease,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::read(find)
    }

    #[test]
    fn what_is_missing_is_named() {
        let all =
            [("LAPDEV_URL", "https://lapdev.example.com"), ("LAPDEV_TOKEN_FILE", "/token"), ("HOSTNAME", "pod-1")];
        let settings = read(&all).expect("complete");
        assert_eq!((settings.lease.identity.as_str(), settings.role.as_str()), ("pod-1", "lapdev-environment"));
        for missing in 0..all.len() {
            let rest: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, pair)| *pair).collect();
            assert!(matches!(read(&rest), Err(SettingsError::Missing(_))), "{rest:?}");
        }
        assert!(matches!(read(&[("LAPDEV_URL", "ftp://x"), all[1], all[2]]), Err(SettingsError::Url(_))));
        assert!(!VARIABLES.contains('\t') && VARIABLES.contains("LAPDEV_CA_FILE"));
    }
}
