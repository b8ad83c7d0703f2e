//! What the cluster really holds of this control plane, asked of the API server: for audits.

use super::{Core, converge::Trouble, usual_kinds};
use crate::{
    apiserver::CallError,
    object::{GroupKind, label},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{
    labels,
    name::Uid,
    wire::{Inventory, InventoryItem, OrphanObject},
};
use std::collections::{BTreeMap, BTreeSet};

impl Core {
    /// Lists everything that carries the control plane's label, in every namespace that does.
    pub(super) async fn take_inventory(&self) -> Result<Inventory, Trouble> {
        let session = self.session().ok_or_else(|| Trouble::Waiting("no control plane has connected yet".into()))?;
        let selector = format!("{}={}", labels::CONTROL_PLANE, session.control_plane);
        let mut tally = Tally::new(self);
        let kinds = self.known_kinds();
        for namespace in self.api.list(&self.namespaces().await?, "", &selector).await? {
            let name = namespace.name.clone().unwrap_or_default();
            for kind in &kinds {
                for object in self.listed(kind, &name, &selector).await? {
                    tally.count(kind, Some(&name), &object);
                }
            }
            tally.count(&GroupKind { group: String::new(), kind: "Namespace".into() }, None, &namespace);
        }
        Ok(tally.inventory)
    }

    /// The usual kinds, and those of every bundle.
    fn known_kinds(&self) -> BTreeSet<GroupKind> {
        let mut kinds = usual_kinds();
        for (_, held) in self.registry().iter() {
            let objects = held.bundle.iter().flat_map(|content| &content.bundle.objects);
            let read = objects.filter_map(crate::object::Desired::read);
            kinds.extend(read.map(|object| object.id.group_kind()));
        }
        kinds
    }

    async fn listed(&self, kind: &GroupKind, namespace: &str, selector: &str) -> Result<Vec<ObjectMeta>, CallError> {
        let kind = match self.api.preferred_kind(kind).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other?,
        };
        match self.api.list(&kind, namespace, selector).await {
            // A namespace in which the agent was never bound, or a kind that it may not read, holds nothing of it.
            Err(error) if error.is_not_found() || error.status().is_some_and(|status| status.is_forbidden()) => {
                Ok(Vec::new())
            }
            other => other,
        }
    }
}

struct Tally {
    positions: BTreeMap<Uid, usize>,
    inventory: Inventory,
}

impl Tally {
    fn new(core: &Core) -> Self {
        let registry = core.registry();
        let items = registry.iter().map(|(uid, held)| InventoryItem {
            uid: uid.clone(),
            generation: held.accepted.generation,
            digest: held.applied.map(|applied| applied.digest),
            objects: 0,
        });
        let held: Vec<_> = items.collect();
        let positions = held.iter().enumerate().map(|(position, item)| (item.uid.clone(), position)).collect();
        Self { positions, inventory: Inventory { held, orphans: Vec::new() } }
    }

    fn count(&mut self, kind: &GroupKind, namespace: Option<&str>, object: &ObjectMeta) {
        let environment = label(object, labels::ENVIRONMENT);
        let known = environment.and_then(|uid| uid.parse().ok()).and_then(|uid: Uid| self.positions.get(&uid));
        match known {
            Some(position) => self.inventory.held[*position].objects += 1,
            // What has an owner goes with it, and is counted there.
            None if object.owner_references.is_some() => {}
            None => self.inventory.orphans.push(OrphanObject {
                kind: kind.to_string(),
                namespace: namespace.and_then(|name| name.parse().ok()),
                name: object.name.clone().unwrap_or_default(),
                environment: environment.map(ToOwned::to_owned),
            }),
        }
    }
}
