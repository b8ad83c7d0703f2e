//! Setting labels or annotations at every place that field specs lead to.

use crate::budget::text_weight;
use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::resource::ResourceList;
use crate::yaml;
use serde_json::Value;
use std::collections::BTreeMap;

/// Writes all pairs into every mapping that a field spec leads to.
pub fn set(list: &mut ResourceList, pairs: &BTreeMap<String, String>, specs: &[FieldSpec]) -> Result<(), Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let cost: usize = pairs.iter().map(|(key, value)| text_weight(key) + text_weight(value)).sum();
    list.pay_for_all(cost * (1 + specs.len() / 64))?;
    for resource in list.items_mut() {
        let gvk = resource.gvk();
        for spec in specs {
            field_spec::apply(&mut resource.value, &gvk, spec, Create::Mapping, &mut |value| write(value, pairs))
                .map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
        }
    }
    Ok(())
}

fn write(value: &mut Value, pairs: &BTreeMap<String, String>) -> Result<(), String> {
    let Value::Object(map) = value else { return Err("a mapping was expected".to_owned()) };
    for (key, value) in pairs {
        if !map.contains_key(key) {
            yaml::check_key(key)?;
        }
        map.insert(key.clone(), Value::String(value.clone()));
    }
    Ok(())
}
