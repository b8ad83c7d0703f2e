//! `namespace:` moves every object into a namespace, renames `Namespace` objects, and lets role
//! bindings follow.

use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec, FieldSpecs};
use crate::resource::{Resource, ResourceList};
use serde_json::Value;

/// Moves all objects.
pub fn apply(list: &mut ResourceList, namespace: &str, specs: &FieldSpecs) -> Result<(), Error> {
    for resource in list.items_mut() {
        resource.remember();
        one(resource, namespace, specs).map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
    }
    list.check_unique()
}

fn one(resource: &mut Resource, namespace: &str, specs: &FieldSpecs) -> Result<(), String> {
    let gvk = resource.gvk();
    let mut set = |value: &mut Value| match value {
        Value::Object(_) | Value::Array(_) => Err("a namespace must be a string".to_owned()),
        _ => {
            *value = Value::String(namespace.to_owned());
            Ok(())
        }
    };
    if !gvk.is_cluster_scoped() {
        let spec = FieldSpec::any("metadata/namespace", true);
        field_spec::apply(&mut resource.value, &gvk, &spec, Create::Scalar, &mut set)?;
    }
    let is_binding = matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
    if is_binding {
        default_subjects(&mut resource.value, namespace);
    }
    let is_core = gvk.group.is_empty() && gvk.version == "v1";
    for spec in &specs.namespace {
        let skipped = match spec.path.as_ref() {
            "metadata/namespace" => true,
            "metadata/name" => !is_core,
            "subjects/namespace" => is_binding && matches!(spec.kind.as_ref(), "RoleBinding" | "ClusterRoleBinding"),
            _ => false,
        };
        if !skipped {
            field_spec::apply(&mut resource.value, &gvk, spec, Create::Scalar, &mut set)?;
        }
    }
    Ok(())
}

/// Subjects named `default` are the namespace's own account; others follow by reference.
fn default_subjects(object: &mut Value, namespace: &str) {
    let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) else { return };
    for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
        if subject.get("name").and_then(Value::as_str) == Some("default") {
            subject.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
}
