//! A generated object taking the place of one that is there already.

use crate::resource::{Behavior, Resource};
use serde_json::{Map, Value};

/// Makes a generated object take the place of `older`: replacing its data, or merging over it.
pub fn merge_into(older: &Resource, generated: &mut Resource, behavior: Behavior) {
    for field in ["labels", "annotations"] {
        let pairs = older.metadata().and_then(|metadata| metadata.get(field)).cloned();
        if let Some(metadata) = generated.metadata_mut() {
            merge_field(pairs, metadata, field);
        }
    }
    if behavior == Behavior::Merge
        && let Some(object) = generated.value.as_object_mut()
    {
        generated.place = older.place.clone();
        generated.made_by.clone_from(&older.made_by);
        for field in ["data", "binaryData"] {
            merge_field(older.value.get(field).cloned(), object, field);
        }
    }
    generated.inherit(older);
    // What began as a plain object keeps its name.
    generated.needs_hash &= older.needs_hash;
    generated.set_name(older.name().to_owned());
    generated.set_namespace(older.namespace());
}

fn merge_field(older: Option<Value>, newer: &mut Map<String, Value>, field: &str) {
    let Some(Value::Object(mut merged)) = older else { return };
    if let Some(Value::Object(values)) = newer.remove(field) {
        merged.extend(values);
    }
    if !merged.is_empty() {
        newer.insert(field.to_owned(), Value::Object(merged));
    }
}
