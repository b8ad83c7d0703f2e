//! What the branches beside each base run, which decides what the base routes for their sake.
//!
//! It is what this pass rendered, and for a branch that it did not render (paused, unreadable, broken) what was last
//! published: a rendering that failed puts nothing back. Where even that is lost, its base stays as it was published.

use super::PassError;
use crate::{
    plan::Planned,
    publish::Outcome,
    render::{Sourced, run_by, service_names},
};
use lapdev_api::{
    bundle::Bundle,
    digest::Digest,
    key::EnvironmentKey,
    name::{ClusterName, Namespace, Uid},
    record::{EnvironmentRecord, Life},
};
use lapdev_store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Of each living branch, where it is and its Services; none where nobody knows them.
#[derive(Debug, Default)]
pub(super) struct Beside {
    branches: BTreeMap<(ClusterName, Namespace), Vec<Branch>>,
}

/// A branch's key, and its Services where they are known.
type Branch = (EnvironmentKey, Option<BTreeSet<String>>);

impl Beside {
    /// Which Services of a base its branches have copies of.
    pub fn run(&self, base: &EnvironmentRecord, source: &[Sourced]) -> Result<BTreeSet<String>, String> {
        let place = (base.cluster.clone(), base.namespace.clone());
        let mut known = Vec::new();
        for (key, services) in self.branches.get(&place).into_iter().flatten() {
            let services = services.as_ref().ok_or_else(|| {
                format!(
                    "branch {key} beside it runs what the control plane no longer knows and cannot render; it stays as \
                     it is until that branch can be rendered"
                )
            })?;
            known.push((key, services));
        }
        let names = service_names(source);
        Ok(run_by(names.iter().map(String::as_str), &known))
    }
}

/// The Services of published bundles, read once each.
#[derive(Debug, Default)]
pub(super) struct Published {
    services: BTreeMap<Digest, BTreeSet<String>>,
}

impl Published {
    /// Collects what the living branches of a plan run.
    pub async fn beside(
        &mut self,
        store: &Store,
        planned: &[Planned],
        outcomes: &BTreeMap<Uid, Outcome>,
    ) -> Result<Beside, PassError> {
        let (mut beside, mut needed) = (Beside::default(), BTreeSet::new());
        for record in planned.iter().map(|one| &one.record).filter(|record| record.life == Life::Live) {
            let Some(branch) = &record.identity.branch else { continue };
            let services = match (outcomes.get(&record.identity.uid), record.digest) {
                (Some(Outcome::Rendered(rendered, _)), _) => Some(rendered.notes.services.clone()),
                (_, Some(digest)) => {
                    needed.insert(digest);
                    self.services(store, digest).await?
                }
                // Nothing of it was ever published.
                (_, None) if record.generation.0 == 0 => Some(BTreeSet::new()),
                (_, None) => None,
            };
            let place = (record.cluster.clone(), record.namespace.clone());
            beside.branches.entry(place).or_default().push((branch.key.clone(), services));
        }
        self.services.retain(|digest, _| needed.contains(digest));
        Ok(beside)
    }

    async fn services(&mut self, store: &Store, digest: Digest) -> Result<Option<BTreeSet<String>>, PassError> {
        if let Some(known) = self.services.get(&digest) {
            return Ok(Some(known.clone()));
        }
        let bytes = store.bundle(&digest).await?;
        let bundle = bytes.and_then(|bytes| serde_json::from_slice::<Bundle>(&bytes).ok());
        let Some(bundle) = bundle else { return Ok(None) };
        let services: BTreeSet<String> = bundle.objects.iter().filter_map(service_name).map(str::to_owned).collect();
        self.services.insert(digest, services.clone());
        Ok(Some(services))
    }
}

fn service_name(object: &Value) -> Option<&str> {
    let is_service = object.get("kind")? == "Service" && object.get("apiVersion")? == "v1";
    object.pointer("/metadata/name")?.as_str().filter(|_| is_service)
}
