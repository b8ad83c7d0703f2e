//! Which Services of a Shared environment are routed, and what its objects become by that: each routed Service leads to
//! the routers, its original stands beside it under another name, and the routers come along. Pure.
//!
//! Routed from the beginning are the Services of workloads that the catalog maps; those of others only while a living
//! branch runs such a workload. Opening or closing a branch inside the mapping changes no object here.

mod router;
mod service;
#[cfg(test)]
mod tests;

use super::{
    RenderError, RouterSettings, network_policies,
    object::{group, is_workload, kind, name},
    selector, services,
};
use lapdev_api::{
    key::{BASELINE, EnvironmentKey},
    kinds::AppCatalog,
    labels,
    record::{Problem, Reason},
    route::{PORTS, RoutedService, router_ports},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is routed, and what is said about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Routed {
    /// Each routed Service, by name.
    pub services: BTreeMap<String, RoutedService>,
    /// What is left alone, and what is routed only for now.
    pub reasons: Vec<Reason>,
    /// What somebody should change.
    pub problems: Vec<Problem>,
}

/// Those of a base's Services that branches have copies of: each branch by its key and the names of its own Services.
pub(crate) fn run_by<'a>(
    services: impl Iterator<Item = &'a str>,
    branches: &[(&EnvironmentKey, &BTreeSet<String>)],
) -> BTreeSet<String> {
    let is_run =
        |service: &&str| branches.iter().any(|(key, copies)| copies.contains(&RoutedService::of_branch(service, key)));
    services.filter(is_run).map(str::to_owned).collect()
}

/// Chooses. `run` are Services that living branches run, mapped or not; `namespace` the labels that it surely has.
pub(super) fn choose(
    objects: &[Value],
    catalog: &AppCatalog,
    run: &BTreeSet<String>,
    namespace: &selector::Labels,
) -> Routed {
    let mut routed = Routed::default();
    let all = service::by_name(objects);
    let mut wanted: BTreeMap<&str, &Value> = BTreeMap::new();
    for (&named, &service) in &all {
        let Some(workload) = led_to(service, objects, catalog) else { continue };
        let mapped = is_mapped(workload, catalog);
        if !mapped && !run.contains(named) {
            continue;
        }
        let say = |text: String| Reason { workload: Some(name(workload).to_owned()), text };
        match service::obstacle(service) {
            Some(obstacle) => routed.reasons.push(say(format!("its Service {named} is not routed: {obstacle}"))),
            None if service::port_numbers(service).is_none() => {}
            None => {
                if !mapped {
                    let text = format!(
                        "its Service {named} is routed while a branch runs it; a rule under `workloads` would route \
                         it always"
                    );
                    routed.reasons.push(say(text));
                }
                routed.reasons.extend(service::caution(service).map(|text| say(format!("its Service {named} {text}"))));
                wanted.insert(named, service);
            }
        }
    }
    settle(routed, wanted, objects, namespace)
}

/// Leaves out those for which there is no port, or whose NetworkPolicies cannot be translated.
fn settle(
    mut routed: Routed,
    mut wanted: BTreeMap<&str, &Value>,
    objects: &[Value],
    namespace: &selector::Labels,
) -> Routed {
    let mut left = PORTS.len();
    wanted.retain(|named, service| {
        let fits = spend(&mut left, service);
        routed.problems.extend((!fits).then(|| not_routed(named, "the namespace has too few router ports left")));
        fits
    });
    loop {
        routed.services = with_ports(&wanted);
        let refused = network_policies::refused(objects, &routed.services, namespace);
        if refused.is_empty() {
            return routed;
        }
        // Without these the others may have other router ports, so all is looked at again.
        wanted.retain(|named, _| !refused.contains_key(*named));
        routed.problems.extend(refused.into_iter().map(|(named, why)| not_routed(&named, &why)));
    }
}

/// Takes as many router ports as the Service needs, if there are so many.
fn spend(left: &mut usize, service: &Value) -> bool {
    let needed = service::port_numbers(service).map_or(0, |ports| ports.len());
    let fits = needed <= *left;
    *left -= if fits { needed } else { 0 };
    fits
}

fn not_routed(service: &str, why: &str) -> Problem {
    let message = format!("Service {service} is not routed, so requests to it reach no branch: {why}");
    Problem { reason: "NotRouted".to_owned(), message }
}

/// The workload that a Service leads to; a mapped one, if there is one.
fn led_to<'o>(service: &Value, objects: &'o [Value], catalog: &AppCatalog) -> Option<&'o Value> {
    service::selector(service)?;
    let leads = |object: &&Value| is_workload(object) && services::selects(service, object);
    objects.iter().filter(leads).min_by_key(|workload| (!is_mapped(workload, catalog), name(workload)))
}

fn is_mapped(workload: &Value, catalog: &AppCatalog) -> bool {
    catalog.workloads.iter().any(|rule| rule.name == name(workload))
}

fn with_ports(wanted: &BTreeMap<&str, &Value>) -> BTreeMap<String, RoutedService> {
    let numbers = |(named, service): (&&'_ str, &&Value)| {
        let named = (*named).to_owned();
        service::port_numbers(service).into_iter().flatten().map(move |port| (named.clone(), port)).collect::<Vec<_>>()
    };
    let all: Vec<(String, u16)> = wanted.iter().flat_map(numbers).collect();
    let listen = router_ports(all.iter().map(|(named, port)| (named.as_str(), *port)));
    wanted.iter().map(|(named, service)| ((*named).to_owned(), service::routed(service, &listen))).collect()
}

impl Routed {
    /// Makes it so among the base's objects, which have no labels of ours yet.
    pub fn apply(
        &mut self,
        objects: &mut Vec<Value>,
        settings: &RouterSettings,
        namespace: &selector::Labels,
    ) -> Result<(), RenderError> {
        if self.services.is_empty() {
            return Ok(());
        }
        self.check_names(objects)?;
        self.problems.extend(network_policies::translate(objects, &self.services, namespace));
        let mut originals = Vec::new();
        for object in objects.iter_mut().filter(|object| kind(object) == "Service" && group(object).is_empty()) {
            if let Some(routed) = self.services.get(name(object)) {
                originals.push(service::original(object));
                service::lead_to_router(object, routed);
            }
        }
        objects.iter_mut().for_each(spare_routers);
        objects.extend(originals);
        objects.extend(router::objects(settings));
        Ok(())
    }

    fn check_names(&self, objects: &[Value]) -> Result<(), RenderError> {
        let all = service::by_name(objects);
        let taken = self.services.iter().find(|(_, routed)| all.contains_key(routed.baseline.as_str()));
        taken.map_or(Ok(()), |(routed, of)| {
            Err(RenderError::NameTaken { name: of.baseline.clone(), service: routed.clone() })
        })
    }
}

/// A PodDisruptionBudget over all pods would be a second one over the routers', which no eviction gets past.
fn spare_routers(object: &mut Value) {
    if (group(object), kind(object)) != ("policy", "PodDisruptionBudget") {
        return;
    }
    let labels = router_labels();
    if let Some(selector) = object.pointer_mut("/spec/selector").filter(|found| selector::selects(found, &labels)) {
        selector::exclude(selector, labels::ROUTER);
    }
}

/// The labels of the routers' pods, as far as they can be known here.
pub(super) fn router_labels() -> selector::Labels {
    let labels = json!({ (labels::ROUTER): "true", (labels::BRANCH): BASELINE });
    labels.as_object().cloned().unwrap_or_default()
}
