//! What each field of a kustomization does to the objects: one module per field (older spellings
//! live with the newer ones). `build` decides about their order.

pub mod config_map_generator;
pub mod configurations;
pub mod generator_options;
pub mod generators;
pub mod images;
pub mod labels;
pub mod names;
pub mod namespace;
pub mod pairs;
pub mod patches;
pub mod replacements;
pub mod replicas;
pub mod secret_generator;
pub mod sort_options;
pub mod transformers;
pub mod value_add;
pub mod vars;

use crate::error::Error;
use crate::field_spec::FieldSpec;
use crate::kustomization::Field;

/// A field spec that a kustomization gives itself.
pub fn field_spec(field: &Field<'_>) -> Result<FieldSpec, Error> {
    let fields = field.mapping(&["group", "version", "kind", "path", "create"])?;
    Ok(FieldSpec {
        group: fields.string("group")?.into(),
        version: fields.string("version")?.into(),
        kind: fields.string("kind")?.into(),
        path: fields.string("path")?.into(),
        create: fields.boolean("create")?,
    })
}
