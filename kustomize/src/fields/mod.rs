//! What each field of a kustomization does to the objects: one module per field (older spellings
//! live with the newer ones). `build` decides about their order.

pub mod build_metadata;
pub mod config_map_generator;
pub mod configurations;
pub mod crds;
pub mod generator_options;
pub mod generators;
pub mod iam_policy_generator;
mod image_name;
pub mod images;
pub mod labels;
pub mod names;
pub mod namespace;
pub mod openapi;
pub mod pairs;
pub mod patches;
pub mod replacements;
pub mod replicas;
pub mod secret_generator;
pub mod sort_options;
pub mod transformers;
pub mod value_add;
pub mod vars;

use crate::budget::MAX_STEPS;
use crate::error::{Error, Problem};
use crate::field_spec::FieldSpec;
use crate::kustomization::Field;

/// A field spec that a kustomization gives itself.
pub fn field_spec(field: &Field<'_>) -> Result<FieldSpec, Error> {
    let fields = field.mapping(&["group", "version", "kind", "path", "create"])?;
    let path = fields.string("path")?;
    if path.split('/').count() > MAX_STEPS {
        return Err(field.error(Problem::Invalid(format!("a path has at most {MAX_STEPS} steps"))));
    }
    Ok(FieldSpec {
        group: fields.string("group")?.into(),
        version: fields.string("version")?.into(),
        kind: fields.string("kind")?.into(),
        path: path.into(),
        create: fields.boolean("create")?,
    })
}
