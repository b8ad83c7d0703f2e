//! A kustomization file as data: every field checked and placed, nothing rendered yet.

mod field;
mod file;

pub use field::{Field, Fields, Text};
pub use file::{find, load};

use crate::error::{Error, Problem};
use crate::fields::build_metadata::BuildMetadata;
use crate::fields::config_map_generator::ConfigMapGenerator;
use crate::fields::generator_options::GeneratorOptions;
use crate::fields::images::Image;
use crate::fields::labels::Labels;
use crate::fields::openapi::OpenApi;
use crate::fields::patches::Patch;
use crate::fields::replacements;
use crate::fields::replicas::Replica;
use crate::fields::secret_generator::SecretGenerator;
use crate::fields::sort_options::Order;
use crate::fields::vars::Var;
use crate::helm;
use crate::path::TreePath;
use std::collections::BTreeMap;

/// A decoded kustomization file.
#[derive(Debug)]
pub struct Kustomization {
    pub is_component: bool,
    pub resources: Vec<Text>,
    pub components: Vec<Text>,
    pub config_maps: Vec<ConfigMapGenerator>,
    pub secrets: Vec<SecretGenerator>,
    pub generator_options: GeneratorOptions,
    pub charts: Vec<helm::Entry>,
    pub patches_strategic_merge: Vec<Text>,
    pub patches: Vec<Patch>,
    pub patches_json6902: Vec<Patch>,
    pub namespace: String,
    pub name_prefix: String,
    pub name_suffix: String,
    pub labels: Vec<Labels>,
    pub common_labels: BTreeMap<String, String>,
    pub common_annotations: BTreeMap<String, String>,
    pub replicas: Vec<Replica>,
    pub images: Vec<Image>,
    pub vars: Vec<Var>,
    pub generators: Vec<Text>,
    pub transformers: Vec<Text>,
    pub validators: Vec<Text>,
    pub replacements: Vec<replacements::Entry>,
    pub configurations: Vec<Text>,
    pub crds: Vec<Text>,
    pub open_api: OpenApi,
    pub sort_options: Option<Order>,
    pub build_metadata: BuildMetadata,
    /// The file itself.
    pub file: TreePath,
}

const API_VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_API_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";

/// The fields of the reference, in the order of its documentation.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "crds",
    "openapi",
    "configurations",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generators",
    "patchesStrategicMerge",
    "patches",
    "patchesJson6902",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "replicas",
    "images",
    "imageTags",
    "replacements",
    "vars",
    "transformers",
    "validators",
    "sortOptions",
    "buildMetadata",
];

impl Kustomization {
    /// Decodes the root mapping of a kustomization file.
    pub fn decode(root: &Field<'_>) -> Result<Self, Error> {
        let fields = root.mapping(FIELDS)?;
        check_not_empty(root, &fields)?;
        check_metadata(&fields)?;
        let is_component = check_type(&fields)?;
        let mut resources = fields.texts("resources")?;
        resources.extend(fields.texts("bases")?);
        let mut images = fields.list("images", Image::decode)?;
        images.extend(fields.list("imageTags", Image::decode)?);
        let options = fields.get("generatorOptions").map(|field| GeneratorOptions::decode(&field)).transpose()?;
        Ok(Self {
            is_component,
            resources,
            components: fields.texts("components")?,
            config_maps: fields.list("configMapGenerator", ConfigMapGenerator::decode)?,
            secrets: fields.list("secretGenerator", SecretGenerator::decode)?,
            generator_options: options.unwrap_or_default(),
            charts: helm::charts(&fields)?,
            patches_strategic_merge: fields.texts("patchesStrategicMerge")?,
            patches: fields.list("patches", Patch::decode)?,
            patches_json6902: fields.list("patchesJson6902", Patch::decode)?,
            namespace: fields.string("namespace")?,
            name_prefix: fields.string("namePrefix")?,
            name_suffix: fields.string("nameSuffix")?,
            labels: fields.list("labels", Labels::decode)?,
            common_labels: fields.pairs("commonLabels")?,
            common_annotations: fields.pairs("commonAnnotations")?,
            replicas: fields.list("replicas", Replica::decode)?,
            images,
            replacements: fields.list("replacements", replacements::Entry::decode)?,
            vars: fields.list("vars", Var::decode)?,
            generators: fields.texts("generators")?,
            transformers: fields.texts("transformers")?,
            validators: fields.texts("validators")?,
            configurations: fields.texts("configurations")?,
            crds: fields.texts("crds")?,
            open_api: fields.get("openapi").map(|field| OpenApi::decode(&field)).transpose()?.unwrap_or_default(),
            sort_options: fields.get("sortOptions").map(|field| Order::decode(&field)).transpose()?,
            build_metadata: BuildMetadata::decode(&fields)?,
            file: root.file().clone(),
        })
    }
}

fn check_not_empty(root: &Field<'_>, fields: &Fields<'_>) -> Result<(), Error> {
    let says_something = |name: &&str| match fields.get(name) {
        None => false,
        Some(field) => field.string().map_or(true, |text| !text.is_empty()),
    };
    match FIELDS.iter().filter(|name| !matches!(**name, "apiVersion" | "kind")).any(says_something) {
        true => Ok(()),
        false => Err(root.error(Problem::EmptyKustomization)),
    }
}

/// The metadata of a kustomization means nothing, but must be metadata.
fn check_metadata(fields: &Fields<'_>) -> Result<(), Error> {
    let Some(metadata) = fields.get("metadata") else { return Ok(()) };
    let fields = metadata.mapping(&["name", "namespace", "labels", "annotations"])?;
    fields.string("name")?;
    fields.string("namespace")?;
    fields.pairs("labels")?;
    fields.pairs("annotations")?;
    Ok(())
}

fn check_type(fields: &Fields<'_>) -> Result<bool, Error> {
    let is_component = match fields.get("kind") {
        None => false,
        Some(field) => match field.string()?.as_str() {
            "" | "Kustomization" => false,
            "Component" => true,
            other => {
                return Err(field.error(Problem::Invalid(format!(
                    "the kind `{other}` is neither `Kustomization` nor `Component`"
                ))));
            }
        },
    };
    let expected = if is_component { COMPONENT_API_VERSION } else { API_VERSION };
    match fields.text("apiVersion")? {
        Some(text) if text.value != expected => {
            Err(Error::new(text.place, Problem::Invalid(format!("apiVersion `{}` should be `{expected}`", text.value))))
        }
        _ => Ok(is_component),
    }
}
