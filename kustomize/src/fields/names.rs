//! `namePrefix:` and `nameSuffix:` rename every object but those whose name is their meaning.

use crate::budget::{Budget, text_weight};
use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::resource::{Gvk, Resource, ResourceList};
use serde_json::Value;

/// What is added to a name, and where.
#[derive(Clone, Copy, Debug)]
pub enum Affix<'a> {
    Prefix(&'a str),
    Suffix(&'a str),
}

/// Renames all objects.
pub fn apply(list: &mut ResourceList, affix: Affix<'_>, specs: &[FieldSpec]) -> Result<(), Error> {
    let (Affix::Prefix(text) | Affix::Suffix(text)) = affix;
    list.pay_for_all(text_weight(text) * specs.len())?;
    let budget = list.budget();
    for resource in list.items_mut() {
        let original = resource.original_gvk();
        if keeps_its_name(&original) {
            continue;
        }
        for spec in specs.iter().filter(|spec| spec.selects(&original)) {
            one(resource, affix, spec, &budget)
                .map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
        }
    }
    Ok(())
}

/// The names of these follow from what they describe.
fn keeps_its_name(gvk: &Gvk) -> bool {
    match gvk.kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => gvk.group == "apiregistration.k8s.io",
        _ => false,
    }
}

fn one(resource: &mut Resource, affix: Affix<'_>, spec: &FieldSpec, budget: &Budget) -> Result<(), String> {
    if spec.path == "metadata/name" {
        match affix {
            Affix::Prefix(text) => resource.prefixes.push(text.to_owned()),
            Affix::Suffix(text) => resource.suffixes.push(text.to_owned()),
        }
        resource.remember_paid(budget)?;
    }
    let gvk = resource.gvk();
    field_spec::apply(&mut resource.value, &gvk, spec, Create::Scalar, &mut |value| {
        let name = match &*value {
            Value::String(name) => name.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err("a name must be a string".to_owned()),
        };
        *value = Value::String(match affix {
            Affix::Prefix(text) => format!("{text}{name}"),
            Affix::Suffix(text) => format!("{name}{text}"),
        });
        Ok(())
    })
}
