//! Generated objects meeting the objects they merge into.

use crate::resource::{Behavior, Resource};
use serde_json::{Map, Value};

/// Makes a generated object take the place of `older`: replacing its data, or merging over it.
pub fn merge_into(older: &Resource, generated: &mut Resource, behavior: Behavior) {
    merge_metadata(older, generated);
    if behavior == Behavior::Merge {
        for field in ["data", "binaryData"] {
            merge_field(older, generated, field);
        }
    }
    generated.inherit(older);
    generated.set_name(older.name().to_owned());
    generated.set_namespace(older.namespace());
}

fn merge_metadata(older: &Resource, generated: &mut Resource) {
    for (field, pairs) in [("labels", older.labels()), ("annotations", older.annotations())] {
        let Some(pairs) = pairs.cloned() else { continue };
        let Some(metadata) = generated.metadata_mut() else { continue };
        let merged = merged(pairs, metadata.get(field));
        metadata.insert(field.to_owned(), Value::Object(merged));
    }
}

fn merge_field(older: &Resource, generated: &mut Resource, field: &str) {
    let Some(pairs) = older.value.get(field).and_then(Value::as_object).cloned() else { return };
    let merged = merged(pairs, generated.value.get(field));
    if let Some(object) = generated.value.as_object_mut() {
        object.insert(field.to_owned(), Value::Object(merged));
    }
}

fn merged(mut older: Map<String, Value>, newer: Option<&Value>) -> Map<String, Value> {
    if let Some(Value::Object(newer)) = newer {
        older.extend(newer.clone());
    }
    older
}
