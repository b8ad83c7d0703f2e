//! What the environment of the router's process says. Read once, at its start.

use std::{
    net::{IpAddr, SocketAddr},
    num::ParseIntError,
    str::FromStr,
    time::Duration,
};

/// The whole end takes at most so long; Kubernetes kills after 30 s by default.
const DRAIN: Duration = Duration::from_secs(25);
/// More workers than this help no base's traffic, and cost memory each.
const MOST_WORKERS: usize = 4;

/// How the router runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `NAMESPACE`: the base's.
    pub namespace: String,
    /// `LAPDEV_LISTEN_ADDRESS`: where router ports are listened on; `::` takes both families. Default:
    /// [`crate::listen::everywhere`].
    pub listen: Option<IpAddr>,
    /// `LAPDEV_ADMIN_ADDRESS`: where the agent and the kubelet are answered. Default: the same, on
    /// [`lapdev_api::route::ADMIN_PORT`].
    pub admin: Option<SocketAddr>,
    /// `LAPDEV_DRAIN_SECONDS`: the most time between SIGTERM and the end. Default 25.
    pub drain: Duration,
    /// `LAPDEV_WORKERS`: threads that serve connections. Default: one per core that the process may use, at most 4.
    pub workers: usize,
}

/// Why the environment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable must be set.
    #[error("{0} is not set; the Deployment lapdev-router sets it")]
    Missing(&'static str),
    /// A variable is no address.
    #[error("{name} is {value:?}, which is no address")]
    Address {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A variable is no number.
    #[error("{name} is {value:?}, which is no number")]
    Number {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        source: ParseIntError,
    },
}

impl Settings {
    /// Reads the variables that `get` gives.
    ///
    /// # Errors
    /// If one is missing or illegal.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let namespace = get("NAMESPACE").ok_or(SettingsError::Missing("NAMESPACE"))?;
        let (listen, admin) = (address(&get, "LAPDEV_LISTEN_ADDRESS")?, address(&get, "LAPDEV_ADMIN_ADDRESS")?);
        let drain = number(&get, "LAPDEV_DRAIN_SECONDS")?.map_or(DRAIN, Duration::from_secs);
        let workers = number(&get, "LAPDEV_WORKERS")?.map(|number| usize::try_from(number).unwrap_or(MOST_WORKERS));
        Ok(Self { namespace, listen, admin, drain, workers: workers.unwrap_or_else(default_workers).max(1) })
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
}

fn address<T: FromStr>(get: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<T>, SettingsError> {
    let parse = |value: String| value.parse().map_err(|_| SettingsError::Address { name, value });
    get(name).map(parse).transpose()
}

fn number(get: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<u64>, SettingsError> {
    let parse = |value: String| value.parse().map_err(|source| SettingsError::Number { name, value, source });
    get(name).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn only_the_namespace_must_be_said() {
        let settings = read(&[("NAMESPACE", "shop")]).expect("it is enough");
        assert_eq!((settings.drain, settings.listen, settings.admin), (DRAIN, None, None));
        assert!((1..=MOST_WORKERS).contains(&settings.workers));
        let set = [("NAMESPACE", "shop"), ("LAPDEV_LISTEN_ADDRESS", "::"), ("LAPDEV_WORKERS", "0")];
        let settings = read(&set).expect("legal");
        assert_eq!((settings.listen.map(|address| address.to_string()), settings.workers), (Some("::".to_owned()), 1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |set: &[(&str, &str)]| read(set).expect_err("wrong").to_string();
        assert!(why(&[]).starts_with("NAMESPACE is not set"));
        let address = why(&[("NAMESPACE", "shop"), ("LAPDEV_ADMIN_ADDRESS", "x")]);
        assert_eq!(address, "LAPDEV_ADMIN_ADDRESS is \"x\", which is no address");
        assert!(why(&[("NAMESPACE", "shop"), ("LAPDEV_DRAIN_SECONDS", "-1")]).contains("no number"));
    }
}
