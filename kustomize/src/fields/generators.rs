//! `generators:`: the config map, secret and chart generators with settings of their own, as objects
//! of `apiVersion: builtin`.

use super::build_metadata::Plugin;
use super::config_map_generator::ConfigMapGenerator;
use super::generator_options::GeneratorOptions;
use super::iam_policy_generator;
use super::secret_generator::SecretGenerator;
use super::transformers::{builtin_kind, settings};
use crate::error::{Error, Problem};
use crate::helm;
use crate::kustomization::Field;
use crate::path::TreePath;
use crate::resource::Resource;
use crate::source::Source;

/// What one configuration generates.
pub fn generate(mut config: Resource, source: Source<'_>, root: &TreePath) -> Result<Vec<Resource>, Error> {
    let kind = builtin_kind(&config)?;
    let plugin = Plugin::of_config(&config);
    if kind == helm::PLUGIN {
        let (node, file) = settings(config);
        let mut made = helm::plugin(&Field::lenient(&node, &file))?.generate(source, root, "")?;
        made.iter_mut().for_each(|one| one.made_by = Some(plugin.clone()));
        return Ok(made);
    }
    // Name and namespace may stand in the metadata only.
    for field in ["name", "namespace"] {
        let value = config.metadata().and_then(|metadata| metadata.get(field)).cloned();
        if let (Some(value), Some(object)) = (value, config.value.as_object_mut()) {
            object.entry(field).or_insert(value);
        }
    }
    let (node, file) = settings(config);
    let field = Field::lenient(&node, &file);
    let all = GeneratorOptions::default();
    let mut resource = match kind.as_str() {
        "ConfigMapGenerator" => ConfigMapGenerator::decode(&field)?.generate(source, root, &all)?,
        "SecretGenerator" => SecretGenerator::decode(&field)?.generate(source, root, &all)?,
        "IAMPolicyGenerator" => iam_policy_generator::generate(&field)?,
        other => return Err(field.error(Problem::Unsupported(format!("the generator `{other}`"), ""))),
    };
    resource.made_by = Some(plugin);
    Ok(vec![resource])
}
