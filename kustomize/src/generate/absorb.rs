//! A generated object taking the place of one that is there already.

use super::wrapped;
use crate::resource::{Behavior, Resource};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Makes a generated object take the place of `older`: replacing its data, or merging over it.
pub fn merge_into(older: &Resource, generated: &mut Resource, behavior: Behavior) -> Result<(), String> {
    for field in ["labels", "annotations"] {
        let pairs = older.texts(&format!("/metadata/{field}"));
        if let Some(metadata) = generated.metadata_mut() {
            merge_field(pairs, metadata, field);
        }
    }
    if behavior == Behavior::Merge {
        generated.place = older.place.clone();
        generated.made_by.clone_from(&older.made_by);
        let data = data_of(older, generated)?;
        if let Some(object) = generated.value.as_object_mut() {
            merge_field(data, object, "data");
            merge_field(older.texts("/binaryData"), object, "binaryData");
        }
    }
    generated.inherit(older);
    // What began as a plain object keeps its name.
    generated.needs_hash &= older.needs_hash;
    generated.set_name(older.name().to_owned());
    generated.set_namespace(older.namespace());
    Ok(())
}

/// The data to merge over, as text; that of a secret may stand unencoded in `stringData`.
fn data_of(older: &Resource, generated: &Resource) -> Result<BTreeMap<String, String>, String> {
    let mut data = without_nulls(older, "data");
    if generated.kind() != "Secret" {
        return Ok(data);
    }
    let plain = older.value.get("stringData").and_then(Value::as_object).into_iter().flatten();
    if let Some((key, _)) = plain.into_iter().find(|(_, value)| value.is_object() || value.is_array()) {
        return Err(format!("`stringData.{key}` must be a scalar"));
    }
    let encoded = without_nulls(older, "stringData").into_iter().map(|(key, text)| (key, wrapped(text.as_bytes())));
    data.extend(encoded);
    Ok(data)
}

fn without_nulls(older: &Resource, field: &str) -> BTreeMap<String, String> {
    let mut texts = older.texts(&format!("/{field}"));
    for (key, text) in &mut texts {
        if older.value[field][key.as_str()].is_null() {
            text.clear();
        }
    }
    texts
}

fn merge_field(older: BTreeMap<String, String>, newer: &mut Map<String, Value>, field: &str) {
    let mut merged: Map<String, Value> = older.into_iter().map(|(key, text)| (key, Value::from(text))).collect();
    if let Some(Value::Object(values)) = newer.remove(field) {
        merged.extend(values);
    }
    if !merged.is_empty() {
        newer.insert(field.to_owned(), Value::Object(merged));
    }
}
