//! A Branch environment: copies of the chosen workloads beside the base's, under names and selectors of their own.
//!
//! Never an object of the base, and nothing that would act on the base's: no autoscaler, PodDisruptionBudget, Ingress,
//! DaemonSet, Job or CronJob. ServiceAccounts, Secrets and unchanged ConfigMaps are the base's own, by reference.

use super::{
    Context, Notes, RenderError, Rendered,
    base::service_names,
    choose::Chosen,
    config_maps, finish,
    image::{self, TagCommits},
    labels, network_policies,
    object::{Sourced, containers_mut, kind, name, pod_template_mut, set_variable, text},
    overrides, previews, routed, scope, services,
};
use lapdev_api::{
    bundle::{BranchIdentity, BundleNamespace},
    kinds::{AppCatalog, Override},
    labels::KEY_VARIABLE,
    name::{Commit, compose},
    record::Reason,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a branch is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct BranchSource<'a> {
    /// The catalog.
    pub catalog: &'a AppCatalog,
    /// What the branch is.
    pub branch: &'a BranchIdentity,
    /// The catalog's source as the base environment has it.
    pub base: &'a [Sourced],
    /// The overrides of the base environment, which hold for the copies too.
    pub base_overrides: &'a [Override],
    /// The catalog's source as the branch has it; the base's when the source is not in the branch's repository.
    pub head: &'a [Sourced],
    /// The workloads that it runs.
    pub chosen: &'a Chosen,
    /// The branch's newest commit.
    pub head_commit: &'a Commit,
    /// The last commit under the paths of a workload's rule, by workload, for `{pathSha}`.
    pub path_commits: &'a BTreeMap<String, Commit>,
    /// Variables that `.lapdev.yaml` sets in every copy.
    pub variables: &'a BTreeMap<String, String>,
    /// The overrides of the Branch environment's own file.
    pub overrides: &'a [Override],
}

/// Renders it.
///
/// # Errors
/// As each variant of [`RenderError`] says.
pub fn branch(source: &BranchSource<'_>, context: &Context) -> Result<Rendered, RenderError> {
    scope::check(source.head)?;
    let key = source.branch.key.as_str();
    let originals = source.originals()?;
    let maps = source.config_maps_to_copy(&originals);
    let mut objects = Vec::new();
    for original in &originals {
        objects.push(source.workload(original, &maps)?);
    }
    let services = source.services(&originals);
    for (workload, original) in objects.iter_mut().zip(&originals) {
        lead_to_own_service(workload, original, &services, key);
    }
    objects.extend(maps.values().map(|map| config_map(map, key)));
    objects.extend(services.values().map(|service| services::copy(service, key)));
    objects.iter_mut().for_each(|object| labels::put(object, context, key));

    let copied: BTreeSet<String> = services.keys().map(|service| (*service).to_owned()).collect();
    let known =
        previews::Known { copied: &copied, base: &service_names(source.base), routed: &source.routed(context)? };
    let (previews, problems) = previews::previews(source.catalog, context, known);
    let namespace = BundleNamespace { name: context.namespace.clone(), owned: false };
    let services = copied.iter().map(|service| compose(service, key)).collect();
    let notes = Notes { previews, reasons: reasons(source.chosen), problems, services };
    finish(context, namespace, objects, notes)
}

impl<'a> BranchSource<'a> {
    /// The chosen workloads as the branch has them, with what the base's file changes.
    fn originals(&self) -> Result<Vec<Value>, RenderError> {
        let mut objects = self.overridden(self.head)?;
        let find = |workload: &String| overrides::find(&mut objects, workload, "the plan").cloned();
        self.chosen.workloads.keys().map(find).collect()
    }

    /// The Services that the base routes whatever its branches are. One that is routed on account of branches may not be
    /// taken over yet.
    fn routed(&self, context: &Context) -> Result<BTreeSet<String>, RenderError> {
        let namespace = network_policies::namespace_labels(&context.namespace, &context.control_plane);
        let base = self.overridden(self.base)?;
        Ok(routed::choose(&base, self.catalog, &BTreeSet::new(), &namespace).services.into_keys().collect())
    }

    fn overridden(&self, source: &[Sourced]) -> Result<Vec<Value>, RenderError> {
        let mut objects: Vec<Value> = source.iter().map(|object| object.value.clone()).collect();
        for change in self.base_overrides {
            // The base may override what this branch has removed.
            if let Ok(workload) = overrides::find(&mut objects, &change.workload, "the base's override") {
                overrides::apply_one(workload, change, self.catalog)?;
            }
        }
        Ok(objects)
    }

    fn workload(&self, original: &Value, maps: &BTreeMap<&str, &Value>) -> Result<Value, RenderError> {
        let (mut copy, named) = (original.clone(), name(original));
        copy["spec"]["replicas"] = Value::from(1);
        without_data(&mut copy);
        let template = pod_template_mut(&mut copy).expect("a workload has a pod template by its kind");
        let rule = self.catalog.workloads.iter().find(|rule| rule.name == named);
        if let Some(image) = rule.and_then(|rule| rule.image.as_ref()) {
            let commits = TagCommits { head: self.head_commit, path: self.path_commits.get(named) };
            image::set(template, named, image, commits)?;
        }
        for container in containers_mut(template) {
            self.variables.iter().for_each(|(variable, value)| set_variable(container, variable, value));
        }
        for change in self.overrides.iter().filter(|change| change.workload == named) {
            overrides::apply_one(&mut copy, change, self.catalog)?;
        }
        let key = self.branch.key.as_str();
        // Last, so that nothing can say otherwise.
        let template = pod_template_mut(&mut copy).expect("a workload has a pod template by its kind");
        containers_mut(template).for_each(|container| set_variable(container, KEY_VARIABLE, key));
        let names = maps.keys().map(|map| ((*map).to_owned(), compose(map, key))).collect();
        let known = config_maps::by_name(self.head.iter().map(|object| &object.value));
        config_maps::note_digest(&mut copy, &known);
        config_maps::rename(&mut copy, &names);
        copy["metadata"] = metadata(original, &compose(named, key));
        Ok(copy)
    }

    /// The ConfigMaps that the chosen workloads read and that the base does not have as they are. A generated one has
    /// the hash of its content in its name, so that a changed one is missing there.
    fn config_maps_to_copy(&self, originals: &[Value]) -> BTreeMap<&'a str, &'a Value> {
        let read: BTreeSet<String> = originals.iter().flat_map(config_maps::read_by).collect();
        let base = config_maps::by_name(self.base.iter().map(|object| &object.value));
        let mut maps = config_maps::by_name(self.head.iter().map(|object| &object.value));
        maps.retain(|name, map| {
            let as_in_base = base.get(name).is_some_and(|other| config_maps::same_content(map, other));
            read.contains(*name) && !as_in_base
        });
        maps
    }

    /// The Services that lead to a chosen workload, by name; the branch's version of one counts.
    fn services(&self, originals: &[Value]) -> BTreeMap<&'a str, &'a Value> {
        let all = self.base.iter().chain(self.head).map(|object| &object.value);
        let mut services: BTreeMap<&str, &Value> =
            all.filter(|object| kind(object) == "Service").map(|service| (name(service), service)).collect();
        services.retain(|_, service| originals.iter().any(|workload| services::selects(service, workload)));
        services
    }
}

/// Claims and claim templates lead to the base's data; a copy starts with empty volumes instead.
fn without_data(workload: &mut Value) {
    let spec = &mut workload["spec"];
    let claims = spec.as_object_mut().and_then(|spec| spec.remove("volumeClaimTemplates"));
    let names: Vec<Value> = claims
        .iter()
        .flat_map(|claims| claims.as_array())
        .flatten()
        .map(|claim| claim["metadata"]["name"].clone())
        .collect();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("persistentVolumeClaimRetentionPolicy");
    }
    let pod = &mut spec["template"]["spec"];
    let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        if volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some() {
            *volume = empty_volume(&volume["name"]);
        }
    }
    if !names.is_empty() {
        let mut volumes: Vec<Value> = names.iter().map(empty_volume).collect();
        volumes.extend(pod.get("volumes").and_then(Value::as_array).into_iter().flatten().cloned());
        pod["volumes"] = Value::Array(volumes);
    }
}

fn empty_volume(name: &Value) -> Value {
    json!({ "name": name, "emptyDir": {} })
}

/// A StatefulSet's pods have their names from its Service.
fn lead_to_own_service(workload: &mut Value, original: &Value, services: &BTreeMap<&str, &Value>, key: &str) {
    let service = text(original, "/spec/serviceName");
    if services.contains_key(service) {
        workload["spec"]["serviceName"] = Value::from(compose(service, key));
    }
}

fn config_map(map: &Value, key: &str) -> Value {
    let mut copy = map.clone();
    copy["metadata"] = metadata(map, &compose(name(map), key));
    // The next commit changes this very object.
    if let Some(copy) = copy.as_object_mut() {
        copy.remove("immutable");
    }
    copy
}

/// Name, labels and annotations; what the API server writes is not taken along.
fn metadata(original: &Value, name: &str) -> Value {
    let mut metadata = json!({ "name": name });
    for field in ["labels", "annotations"] {
        if let Some(value) = original["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    metadata
}

fn reasons(chosen: &Chosen) -> Vec<Reason> {
    let why = |(workload, reasons): (&String, &Vec<String>)| Reason {
        workload: Some(workload.clone()),
        text: reasons.join("; "),
    };
    chosen.workloads.iter().map(why).chain(chosen.left_out.iter().cloned()).collect()
}
