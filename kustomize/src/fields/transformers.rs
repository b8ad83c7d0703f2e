//! `transformers:` and `validators:`: the transformers of the other fields with settings of their
//! own, as objects of `apiVersion: builtin`. Programs and containers are refused.

use super::build_metadata::Plugin;
use super::images::Image;
use super::names::{self, Affix};
use super::namespace::{Move, Subjects};
use super::pairs;
use super::patches::{self, Patch};
use super::replacements;
use super::replicas::Replica;
use super::value_add::ValueAdd;
use crate::error::{Error, Problem};
use crate::field_spec::FieldSpec;
use crate::generate;
use crate::kustomization::{Field, Fields, Text};
use crate::path::TreePath;
use crate::resource::{Resource, ResourceList};
use crate::source::Source;
use crate::yaml::Node;
use serde_json::Value;
use std::collections::BTreeMap;

/// A configured transformer.
#[derive(Debug)]
enum Transformer {
    Pairs(BTreeMap<String, String>, Vec<FieldSpec>),
    Namespace(Move),
    Names { prefix: String, suffix: String, specs: Vec<FieldSpec> },
    Image(Image, Vec<FieldSpec>),
    Replica(Replica, Vec<FieldSpec>),
    Patch(Patch),
    StrategicMerge(Vec<Text>),
    Json6902(Patch),
    Replacements(Vec<replacements::Entry>),
    ValueAdd(ValueAdd),
    Hash,
}

/// Applies the transformers that the objects configure, in their order, and notes what ran if the
/// rendered directory is given.
pub fn apply(
    configs: Vec<Resource>,
    source: Source<'_>,
    root: &TreePath,
    noting: Option<&TreePath>,
    list: &mut ResourceList,
) -> Result<(), Error> {
    // All are understood before the first one runs.
    let named = |config: Resource| {
        let plugin = Plugin::of_config(&config);
        let file = config.place.file.clone();
        decode(config).map(|transformer| (transformer, plugin, file))
    };
    let transformers: Vec<_> = configs.into_iter().map(named).collect::<Result<_, _>>()?;
    for (transformer, plugin, file) in transformers {
        transformer.apply(source, root, list)?;
        if let Some(rendered) = noting {
            plugin.note(list, rendered, &file)?;
        }
    }
    Ok(())
}

/// Applies transformers that must change nothing.
pub fn validate(
    configs: Vec<Resource>,
    source: Source<'_>,
    root: &TreePath,
    list: &mut ResourceList,
) -> Result<(), Error> {
    let Some(place) = configs.first().map(|config| config.place.clone()) else { return Ok(()) };
    let before: Vec<Value> = list.iter().map(|resource| resource.value.clone()).collect();
    apply(configs, source, root, None, list)?;
    let changed =
        list.len() != before.len() || list.iter().zip(&before).any(|(resource, before)| resource.value != *before);
    match changed {
        true => Err(Error::new(place, Problem::Invalid("a validator must not change objects".to_owned()))),
        false => Ok(()),
    }
}

fn decode(config: Resource) -> Result<Transformer, Error> {
    let kind = builtin_kind(&config)?;
    let metadata = config.value.get("metadata").cloned().unwrap_or_default();
    let (node, file) = settings(config);
    let field = Field::lenient(&node, &file);
    match kind.as_str() {
        "AnnotationsTransformer" => decode_pairs(&field, "annotations"),
        "LabelTransformer" => decode_pairs(&field, "labels"),
        "NamespaceTransformer" => decode_namespace(&field, &metadata),
        "PrefixTransformer" => decode_names(&field, &["prefix", "fieldSpecs"]),
        "SuffixTransformer" => decode_names(&field, &["suffix", "fieldSpecs"]),
        "PrefixSuffixTransformer" => decode_names(&field, &["prefix", "suffix", "fieldSpecs"]),
        "ImageTagTransformer" => {
            let fields = field.mapping(&["imageTag", "fieldSpecs"])?;
            Ok(Transformer::Image(Image::decode(&required(&field, &fields, "imageTag")?)?, specs(&fields)?))
        }
        "ReplicaCountTransformer" => {
            let fields = field.mapping(&["replica", "fieldSpecs"])?;
            Ok(Transformer::Replica(Replica::decode(&required(&field, &fields, "replica")?)?, specs(&fields)?))
        }
        "PatchTransformer" => Ok(Transformer::Patch(Patch::decode_plugin(&field)?)),
        "PatchJson6902Transformer" => Ok(Transformer::Json6902(Patch::decode_json6902(&field)?)),
        "PatchStrategicMergeTransformer" => {
            let fields = field.mapping(&["paths", "patches"])?;
            let mut entries = fields.texts("paths")?;
            entries.extend(fields.text("patches")?);
            Ok(Transformer::StrategicMerge(entries))
        }
        "ReplacementTransformer" => {
            let fields = field.mapping(&["replacements"])?;
            Ok(Transformer::Replacements(fields.list("replacements", replacements::Entry::decode)?))
        }
        "ValueAddTransformer" => Ok(Transformer::ValueAdd(ValueAdd::decode(&field)?)),
        "HashTransformer" => Ok(Transformer::Hash),
        other => Err(field.error(Problem::Unsupported(format!("the transformer `{other}`"), ""))),
    }
}

/// The kind of a built-in configuration; programs and containers are refused here.
pub fn builtin_kind(config: &Resource) -> Result<String, Error> {
    let gvk = config.gvk();
    if gvk.group.is_empty() && gvk.version == "builtin" {
        return Ok(gvk.kind);
    }
    let why = "; only `apiVersion: builtin` runs here, programs and containers do not";
    Err(Error::new(config.place.clone(), Problem::Unsupported(format!("the plugin `{gvk}`"), why)))
}

/// The settings of a configuration without what every object has.
pub fn settings(config: Resource) -> (Node, TreePath) {
    let mut value = config.value;
    if let Some(object) = value.as_object_mut() {
        for name in ["apiVersion", "kind", "metadata"] {
            object.remove(name);
        }
    }
    let at = config.place.position.unwrap_or_default();
    (Node::of_value(value, at), config.place.file)
}

fn required<'k>(field: &Field<'k>, fields: &Fields<'k>, name: &str) -> Result<Field<'k>, Error> {
    fields.get(name).ok_or_else(|| field.error(Problem::Invalid(format!("`{name}` is missing"))))
}

fn specs(fields: &Fields<'_>) -> Result<Vec<FieldSpec>, Error> {
    fields.list("fieldSpecs", super::field_spec)
}

fn decode_pairs(field: &Field<'_>, name: &'static str) -> Result<Transformer, Error> {
    let fields = field.mapping(&[name, "fieldSpecs"])?;
    Ok(Transformer::Pairs(fields.pairs(name)?, specs(&fields)?))
}

fn decode_names(field: &Field<'_>, known: &[&'static str]) -> Result<Transformer, Error> {
    let fields = field.mapping(known)?;
    if fields.get("fieldSpecs").is_none() {
        return Err(field.error(Problem::Invalid("`fieldSpecs` is missing".to_owned())));
    }
    Ok(Transformer::Names {
        prefix: fields.string("prefix")?,
        suffix: fields.string("suffix")?,
        specs: specs(&fields)?,
    })
}

fn decode_namespace(field: &Field<'_>, metadata: &Value) -> Result<Transformer, Error> {
    let fields = field.mapping(&["fieldSpecs", "unsetOnly", "setRoleBindingSubjects"])?;
    let subjects = match fields.string("setRoleBindingSubjects")?.as_str() {
        "" | "defaultOnly" => Subjects::Default,
        "allServiceAccounts" => Subjects::ServiceAccounts,
        "none" => Subjects::None,
        other => {
            let why = format!("`{other}` is none of `defaultOnly`, `allServiceAccounts` and `none`");
            return Err(field.error(Problem::Invalid(why)));
        }
    };
    let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Transformer::Namespace(Move {
        namespace,
        specs: specs(&fields)?,
        unset_only: fields.boolean("unsetOnly")?,
        subjects,
    }))
}

impl Transformer {
    fn apply(&self, source: Source<'_>, root: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        match self {
            Self::Pairs(pairs, specs) => pairs::set(list, pairs, specs),
            Self::Namespace(movement) => movement.apply(list, source.types),
            Self::Names { prefix, suffix, specs } => {
                if !prefix.is_empty() {
                    names::apply(list, Affix::Prefix(prefix), specs)?;
                }
                if !suffix.is_empty() {
                    names::apply(list, Affix::Suffix(suffix), specs)?;
                }
                Ok(())
            }
            Self::Image(image, specs) => image.apply(list, specs),
            Self::Replica(replica, specs) => replica.apply(list, specs),
            Self::Patch(patch) => patch.apply(source, root, list),
            Self::StrategicMerge(entries) => patches::apply_strategic_merge(entries, source, root, list),
            Self::Json6902(patch) => patch.apply_json6902(source, root, list),
            Self::Replacements(entries) => entries.iter().try_for_each(|entry| entry.apply(source, root, list)),
            Self::ValueAdd(value) => value.apply(source, root, list),
            Self::Hash => {
                generate::add_hashes(list);
                Ok(())
            }
        }
    }
}
