//! What an environment's file changes in the catalog's workloads.

use super::{
    RenderError,
    image::container_named,
    object::{is_workload, kind, name, pod_template_mut, set_variable},
};
use lapdev_api::kinds::{AppCatalog, Override};
use lapdev_kustomize::{MemoryFileSystem, Options, TreePath};
use serde_json::{Value, json};

/// Applies the overrides, in order, to the workloads among `objects`.
pub(super) fn apply(objects: &mut [Value], overrides: &[Override], catalog: &AppCatalog) -> Result<(), RenderError> {
    for change in overrides {
        let workload = find(objects, &change.workload, "an override")?;
        apply_one(workload, change, catalog)?;
    }
    Ok(())
}

/// The workload of this name.
pub(super) fn find<'a>(
    objects: &'a mut [Value],
    wanted: &str,
    asked_by: &'static str,
) -> Result<&'a mut Value, RenderError> {
    let Some(index) = objects.iter().position(|object| is_workload(object) && name(object) == wanted) else {
        return Err(no_such_workload(objects.iter(), wanted, asked_by));
    };
    Ok(&mut objects[index])
}

/// The error that lists what there is.
pub(super) fn no_such_workload<'a>(
    objects: impl Iterator<Item = &'a Value>,
    wanted: &str,
    asked_by: &'static str,
) -> RenderError {
    let mut known: Vec<&str> = objects.filter(|object| is_workload(object)).map(name).collect();
    known.sort_unstable();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    RenderError::NoSuchWorkload { asked_by, name: wanted.to_owned(), known }
}

/// Applies one override to one workload, whatever the workload is called by now.
pub(super) fn apply_one(workload: &mut Value, change: &Override, catalog: &AppCatalog) -> Result<(), RenderError> {
    if let Some(replicas) = change.replicas {
        workload["spec"]["replicas"] = Value::from(replicas);
    }
    if change.image.is_some() || !change.env.is_empty() {
        let rules = catalog.workloads.iter().filter(|rule| rule.name == change.workload);
        let named = rules.filter_map(|rule| rule.image.as_ref()).map(|image| image.container.as_str()).next();
        let template = pod_template_mut(workload).expect("a workload has a pod template by its kind");
        let container = container_named(template, &change.workload, named)?;
        if let Some(image) = &change.image {
            container["image"] = Value::from(image.as_str());
        }
        change.env.iter().for_each(|(variable, value)| set_variable(container, variable, value));
    }
    for (index, patch) in change.patches.iter().enumerate() {
        *workload = patched(workload, patch, &change.workload, index + 1)?;
    }
    Ok(())
}

/// A strategic merge patch, by the renderer itself: a kustomization in memory that holds the object and the patch.
fn patched(workload: &Value, patch: &Value, named: &str, index: usize) -> Result<Value, RenderError> {
    let mut patch = patch.clone();
    // What it is for is said by the override; repeating it is allowed and changes nothing.
    for (pointer, key) in [("/apiVersion", "apiVersion"), ("/kind", "kind")] {
        if patch.get(key).is_none() {
            patch[key] = workload.pointer(pointer).cloned().unwrap_or_default();
        }
    }
    if patch.pointer("/metadata/name").is_none() {
        patch["metadata"]["name"] = Value::from(named);
    }
    let renames = patch["metadata"]["name"] != workload["metadata"]["name"] || kind(&patch) != kind(workload);
    if renames {
        return Err(RenderError::PatchRenames { workload: named.to_owned(), index });
    }
    let kustomization = json!({ "resources": ["object.yaml"], "patches": [{ "path": "patch.yaml" }] });
    let tree = MemoryFileSystem::new()
        .with("kustomization.yaml", kustomization.to_string())
        .with("object.yaml", workload.to_string())
        .with("patch.yaml", patch.to_string());
    let failed = |source| RenderError::Patch { workload: named.to_owned(), index, source: Box::new(source) };
    let rendered = lapdev_kustomize::render(&tree, &TreePath::root(), &Options::default()).map_err(failed)?;
    let deleted = RenderError::PatchRenames { workload: named.to_owned(), index };
    rendered.into_iter().next().map(lapdev_kustomize::Object::into_value).ok_or(deleted)
}
