//! What the agent is told by its environment variables.

use crate::lease::LeaseSettings;
use std::{path::PathBuf, time::Duration};
use url::Url;

/// The variables, for `--help`.
pub const VARIABLES: &str = "\
  LAPDEV_URL               the control plane's external address, https://…
  LAPDEV_TOKEN_FILE        file with the cluster's token (lapdev token create)
  LAPDEV_CA_FILE           PEM certificates to trust besides the system's
  LAPDEV_NAMESPACE         the agent's own namespace, where its Lease is [its ServiceAccount's]
  LAPDEV_LEASE             the Lease's name [lapdev-agent]
  LAPDEV_IDENTITY          who holds the Lease; the pod's name [the host's name]
  LAPDEV_ENVIRONMENT_ROLE  the ClusterRole that the agent binds itself to [lapdev-environment]
  LAPDEV_REQUIRE_POLICY    true: begin only when the admission policy of the chart is active
  KUBECONFIG               outside a cluster: how to reach its API server
  HTTPS_PROXY, NO_PROXY    how to reach the control plane
  RUST_LOG                 what to log [info,kube_client=off]";

/// What is logged unless `RUST_LOG` says otherwise. What fails between the agent and the API server is logged where it matters;
/// the client would say each attempt as an error.
pub const LOG: &str = "info,kube_client=off";

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
    /// Begin only when the admission policy of the chart is active.
    pub require_policy: bool,
    /// The agent's own namespace; none: its ServiceAccount's.
    pub namespace: Option<String>,
    /// Its Lease's name.
    pub lease: String,
    /// Who holds the Lease.
    pub identity: String,
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
    /// It is neither true nor false.
    #[error("LAPDEV_REQUIRE_POLICY {0:?} is neither true nor false")]
    RequirePolicy(String),
}

/// How long a holder of the Lease that says nothing keeps it.
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
        let require_policy = match given("LAPDEV_REQUIRE_POLICY").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(SettingsError::RequirePolicy(other.to_owned())),
        };
        let identity = given("LAPDEV_IDENTITY").or_else(|| given("HOSTNAME")).or_else(host_name);
        Ok(Self {
            url: parsed.ok_or(SettingsError::Url(url))?,
            token_file: given("LAPDEV_TOKEN_FILE").ok_or(SettingsError::Missing("LAPDEV_TOKEN_FILE"))?.into(),
            ca_file: given("LAPDEV_CA_FILE").map(Into::into),
            role: or("LAPDEV_ENVIRONMENT_ROLE", "lapdev-environment"),
            require_policy,
            namespace: given("LAPDEV_NAMESPACE"),
            lease: or("LAPDEV_LEASE", "lapdev-agent"),
            identity: identity.ok_or(SettingsError::Missing("LAPDEV_IDENTITY"))?,
        })
    }

    /// Which Lease, for an agent that the API server knows as `user`.
    #[must_use]
    pub fn lease(&self, user: &str) -> LeaseSettings {
        let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        let own = account.map_or("default", |(namespace, _)| namespace);
        LeaseSettings {
            namespace: self.namespace.clone().unwrap_or_else(|| own.to_owned()),
            name: self.lease.clone(),
            identity: self.identity.clone(),
            duration: LEASE,
        }
    }
}

/// The kernel's name for this host; in a pod the pod's name.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
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
        let all = [("LAPDEV_URL", "https://lapdev.example.com"), ("LAPDEV_TOKEN_FILE", "/token")];
        assert_eq!(read(&all).expect("complete").role, "lapdev-environment");
        assert_eq!(read(&all[1..]).expect_err("no address"), SettingsError::Missing("LAPDEV_URL"));
        assert_eq!(read(&all[..1]).expect_err("no token"), SettingsError::Missing("LAPDEV_TOKEN_FILE"));
        let with = |name, value| read(&[all[0], all[1], (name, value)]);
        assert!(matches!(read(&[("LAPDEV_URL", "ftp://x"), all[1]]), Err(SettingsError::Url(_))));
        assert!(matches!(with("LAPDEV_REQUIRE_POLICY", "yes"), Err(SettingsError::RequirePolicy(_))));
        assert!(with("LAPDEV_REQUIRE_POLICY", "true").expect("fine").require_policy);
    }

    #[test]
    fn the_lease_is_in_the_agents_own_namespace() {
        let variables = [("LAPDEV_URL", "https://x"), ("LAPDEV_TOKEN_FILE", "/token"), ("HOSTNAME", "pod-1")];
        let lease =
            |more: &[(&str, &str)], user: &str| read(&[&variables, more].concat()).expect("complete").lease(user);
        let own = lease(&[], "system:serviceaccount:lapdev-system:lapdev-agent");
        assert_eq!((own.namespace.as_str(), own.identity.as_str()), ("lapdev-system", "pod-1"));
        assert_eq!(lease(&[], "alice").namespace, "default");
        assert_eq!(lease(&[("LAPDEV_NAMESPACE", "x")], "system:serviceaccount:y:z").namespace, "x");
    }
}
