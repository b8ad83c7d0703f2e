//! A kustomization file as data: every field checked and placed, nothing rendered yet.

mod field;
mod file;

pub use field::{Field, Fields, Text};
pub use file::{find, load};

use crate::error::{Error, Problem};

/// A decoded kustomization file.
#[derive(Debug)]
pub struct Kustomization {
    pub is_component: bool,
    pub resources: Vec<Text>,
}

const API_VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_API_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";

/// The fields of the reference, in the order of its documentation.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

/// Known to the reference, but not yet here: an error as soon as one is used.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("openapi", ""),
    ("replacements", ""),
    ("vars", "; use `patches`"),
    ("crds", ""),
    ("helmGlobals", "; render the chart to files and list them under `resources`"),
    ("helmCharts", "; render the chart to files and list them under `resources`"),
    ("helmChartInflationGenerator", "; render the chart to files and list them under `resources`"),
    ("configurations", ""),
    ("generators", ""),
    ("transformers", ""),
    ("validators", ""),
    ("buildMetadata", ""),
    ("commonLabels", ""),
    ("labels", ""),
    ("namePrefix", ""),
    ("nameSuffix", ""),
    ("namespace", ""),
    ("commonAnnotations", ""),
    ("patchesStrategicMerge", ""),
    ("patchesJson6902", ""),
    ("patches", ""),
    ("images", ""),
    ("imageTags", ""),
    ("replicas", ""),
    ("sortOptions", ""),
    ("components", ""),
    ("configMapGenerator", ""),
    ("secretGenerator", ""),
    ("generatorOptions", ""),
];

impl Kustomization {
    /// Decodes the root mapping of a kustomization file.
    pub fn decode(root: &Field<'_>) -> Result<Self, Error> {
        let fields = root.mapping(FIELDS)?;
        for (name, hint) in UNSUPPORTED {
            if let Some(field) = fields.get(name) {
                return Err(field.error(Problem::Unsupported(format!("`{name}`"), hint)));
            }
        }
        let is_component = check_type(&fields)?;
        let mut resources = fields.texts("resources")?;
        resources.extend(fields.texts("bases")?);
        Ok(Self { is_component, resources })
    }
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
