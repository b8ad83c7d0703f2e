//! A Personal or Shared environment: the catalog's objects in a namespace of their own, as the baseline of branches.

use super::{
    Context, Notes, RenderError, Rendered, config_maps, finish, labels, object::Sourced, overrides, previews, routed,
    scope,
};
use crate::render::{
    network_policies::namespace_labels,
    object::{is_workload, name},
    routed::Routed,
};
use lapdev_api::{
    bundle::BundleNamespace,
    key::BASELINE,
    kinds::{AppCatalog, EnvironmentType, Override},
    record::Reason,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Renders it. `run` are the Services that living branches have copies of.
///
/// # Errors
/// As each variant of [`RenderError`] says.
pub fn base(
    source: &[Sourced],
    context: &Context,
    catalog: &AppCatalog,
    changes: &[Override],
    run: &BTreeSet<String>,
) -> Result<Rendered, RenderError> {
    scope::check(source)?;
    let mut objects: Vec<Value> = source.iter().map(|object| object.value.clone()).collect();
    overrides::apply(&mut objects, changes, catalog)?;
    let mut reasons: Vec<Reason> =
        objects.iter().filter(|object| is_workload(object)).map(|object| reason(name(object), changes)).collect();
    note_digests(&mut objects);
    let namespace = namespace_labels(&context.namespace, &context.control_plane);
    let mut routed = match context.identity.environment_type {
        EnvironmentType::Shared => routed::choose(&objects, catalog, run, &namespace),
        EnvironmentType::Personal | EnvironmentType::Branch => Routed::default(),
    };
    routed.apply(&mut objects, &context.router, &namespace)?;
    reasons.extend(routed.reasons);
    objects.iter_mut().for_each(|object| labels::put(object, context, BASELINE));
    let (services, none) = (service_names(source), BTreeSet::new());
    let (previews, mut problems) =
        previews::previews(catalog, context, previews::Known { copied: &none, base: &services, routed: &none });
    problems.extend(routed.problems);
    let namespace = BundleNamespace { name: context.namespace.clone(), owned: true };
    finish(context, namespace, objects, Notes { previews, reasons, problems, ..Notes::default() })
}

pub(super) fn service_names(source: &[Sourced]) -> BTreeSet<String> {
    let services = source.iter().filter(|object| super::object::kind(&object.value) == "Service");
    services.map(|object| name(&object.value).to_owned()).collect()
}

fn note_digests(objects: &mut [Value]) {
    let maps: Vec<Value> = objects.iter().filter(|o| super::object::kind(o) == "ConfigMap").cloned().collect();
    let known: BTreeMap<&str, &Value> = config_maps::by_name(maps.iter());
    objects.iter_mut().for_each(|object| config_maps::note_digest(object, &known));
}

fn reason(workload: &str, changes: &[Override]) -> Reason {
    let overridden = changes.iter().any(|change| change.workload == workload);
    let text = match overridden {
        true => "the catalog's source has it, and the environment's file overrides it",
        false => "the catalog's source has it",
    };
    Reason { workload: Some(workload.to_owned()), text: text.to_owned() }
}
