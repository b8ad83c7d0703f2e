//! Which host belongs to what, remembered until something changes.

use super::Preview;
use lapdev_store::{Store, StoreError, Topic};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use url::Url;

/// Remembered hosts; more (somebody tries names) are forgotten all at once.
const MOST: usize = 10_000;

/// What a host is.
#[derive(Clone)]
pub(crate) enum Found {
    /// No preview's: the control plane's own.
    Ours,
    /// Below a preview domain, but no environment has it.
    Unknown,
    /// A preview's.
    Preview(Arc<Preview>),
}

/// Finds hosts.
pub(crate) struct Hosts {
    store: Store,
    external_host: Option<String>,
    desired: watch::Receiver<u64>,
    config: watch::Receiver<u64>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    as_of: (u64, u64),
    hosts: HashMap<String, Found>,
    domains: Option<Arc<[String]>>,
}

impl Hosts {
    pub(crate) fn new(store: Store, external_url: &Url) -> Self {
        let (desired, config) = (store.watch(Topic::Desired), store.watch(Topic::Config));
        let external_host = external_url.host_str().map(normal);
        Self { store, external_host, desired, config, remembered: Mutex::default() }
    }

    /// What this host (without port) is.
    pub(crate) async fn find(&self, host: &str) -> Result<Found, StoreError> {
        let host = normal(host);
        if self.external_host.as_ref() == Some(&host) {
            return Ok(Found::Ours);
        }
        // Read before the look-up: a change in between must not be covered by an older answer.
        let as_of = (*self.desired.borrow(), *self.config.borrow());
        if let Some(found) = self.remembered(as_of).hosts.get(&host) {
            return Ok(found.clone());
        }
        let below = self.domains(as_of).await?.iter().any(|domain| is_below(&host, domain));
        if !below {
            return Ok(Found::Ours);
        }
        let found = match self.store.preview_host(&host).await? {
            Some(preview) => Found::Preview(Arc::new(preview)),
            None => Found::Unknown,
        };
        let mut remembered = self.remembered(as_of);
        // Otherwise somebody else saw a newer state meanwhile.
        if remembered.as_of == as_of {
            if remembered.hosts.len() >= MOST {
                remembered.hosts.clear();
            }
            remembered.hosts.insert(host, found.clone());
        }
        Ok(found)
    }

    async fn domains(&self, as_of: (u64, u64)) -> Result<Arc<[String]>, StoreError> {
        if let Some(domains) = self.remembered(as_of).domains.clone() {
            return Ok(domains);
        }
        let clusters = self.store.clusters().await?;
        let domains: Arc<[String]> = clusters.iter().filter_map(|c| c.preview_domain.as_deref()).map(normal).collect();
        let mut remembered = self.remembered(as_of);
        if remembered.as_of == as_of {
            remembered.domains = Some(domains.clone());
        }
        Ok(domains)
    }

    fn remembered(&self, as_of: (u64, u64)) -> MutexGuard<'_, Remembered> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (desired, config) = remembered.as_of;
        if as_of.0 > desired || as_of.1 > config {
            *remembered = Remembered { as_of, ..Remembered::default() };
        }
        remembered
    }
}

fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_domain_begins_at_a_dot() {
        assert!(is_below("web--x.preview.example", "preview.example"));
        assert!(!is_below("webpreview.example", "preview.example"));
        assert!(!is_below("preview.example", "preview.example"));
        assert_eq!(normal("Web--X.Preview.Example."), "web--x.preview.example");
    }
}
