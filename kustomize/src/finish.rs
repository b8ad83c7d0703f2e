//! What happens once, at the root: hashes in names, references, order, and the last touches.

use crate::error::Error;
use crate::field_spec::{FieldSpec, FieldSpecs};
use crate::fields::pairs;
use crate::fields::sort_options::Order;
use crate::fields::vars::Vars;
use crate::generate;
use crate::kustomization::Kustomization;
use crate::name_reference;
use crate::object::Object;
use crate::path::TreePath;
use crate::resource::{self, Resource, ResourceList};
use crate::source::Source;
use serde_json::Value;
use std::collections::BTreeMap;

/// Marks an object that is input for tools only and not part of the output.
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";
/// Marks an object as made by a renderer; the value begins as the reference's does.
const MANAGED_BY: (&str, &str) =
    ("app.kubernetes.io/managed-by", concat!("kustomize-lapdev-", env!("CARGO_PKG_VERSION")));
/// Annotations under this prefix are the reference's bookkeeping.
const INTERNAL: &str = "internal.config.kubernetes.io/";
/// Bookkeeping of older tools, which the reference removes too.
const LEGACY: [&str; 3] = ["config.kubernetes.io/index", "config.kubernetes.io/path", "config.k8s.io/id"];

/// Turns accumulated objects into the output.
pub fn finish(
    mut list: ResourceList,
    vars: &Vars,
    root: &Kustomization,
    directory: &TreePath,
    specs: &FieldSpecs,
    source: Source<'_>,
) -> Result<Vec<Object>, Error> {
    generate::add_hashes(&mut list);
    name_reference::apply(&mut list, specs)?;
    vars.resolve(&mut list, &specs.var_references)?;
    list.items_mut().retain(|resource| !is_local(resource));
    list.check_unique()?;
    for resource in list.iter() {
        // A patch can take away what makes an object.
        resource::check(&resource.value).map_err(|problem| Error::new(resource.place.clone(), problem))?;
    }
    if source.options.managed_by_label || root.build_metadata.managed_by_label {
        let pair = BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())]);
        pairs::set(&mut list, &pair, &[FieldSpec::any("metadata/labels", true)])?;
    }
    let mut resources = list.into_items();
    let unsaid = if source.options.keep_order { Order::Fifo } else { Order::default() };
    root.sort_options.clone().unwrap_or(unsaid).sort(&mut resources);
    for resource in &mut resources {
        resource.fill_blanks();
        tidy_annotations(resource);
        root.build_metadata.annotate(resource, directory);
    }
    Ok(resources.into_iter().map(|resource| Object::new(resource.value, resource.place)).collect())
}

fn is_local(resource: &Resource) -> bool {
    let value = resource.annotations().and_then(|pairs| pairs.get(LOCAL_CONFIG));
    value.is_some_and(|value| value != "false")
}

/// Removes bookkeeping, and writes every value as the string that Kubernetes needs.
fn tidy_annotations(resource: &mut Resource) {
    let is_text = resource.annotations().is_none_or(|pairs| pairs.values().all(Value::is_string));
    let texts =
        if is_text && resource.spellings.is_empty() { None } else { Some(resource.texts("/metadata/annotations")) };
    let Some(metadata) = resource.value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations") else { return };
    if let Value::Object(annotations) = annotations {
        if let Some(texts) = texts {
            *annotations = texts.into_iter().map(|(key, text)| (key, Value::from(text))).collect();
        }
        annotations.retain(|key, _| !key.starts_with(INTERNAL) && !LEGACY.contains(&key.as_str()));
    }
    if annotations.is_null() || annotations.as_object().is_some_and(serde_json::Map::is_empty) {
        metadata.remove("annotations");
    }
}
