//! `generatorOptions:` and the `options:` of a single generator.

use crate::error::Error;
use crate::kustomization::Field;
use std::collections::BTreeMap;

/// What generated objects get besides their data.
#[derive(Clone, Debug, Default)]
pub struct GeneratorOptions {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

impl GeneratorOptions {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["labels", "annotations", "disableNameSuffixHash", "immutable"])?;
        Ok(Self {
            labels: fields.pairs("labels")?,
            annotations: fields.pairs("annotations")?,
            disable_name_suffix_hash: fields.boolean("disableNameSuffixHash")?,
            immutable: fields.boolean("immutable")?,
        })
    }

    /// These options over those for all generators: pairs win one by one, flags add up.
    pub fn over(&self, all: &Self) -> Self {
        let merged = |all: &BTreeMap<String, String>, own: &BTreeMap<String, String>| {
            let mut pairs = all.clone();
            pairs.extend(own.clone());
            pairs
        };
        Self {
            labels: merged(&all.labels, &self.labels),
            annotations: merged(&all.annotations, &self.annotations),
            disable_name_suffix_hash: self.disable_name_suffix_hash || all.disable_name_suffix_hash,
            immutable: self.immutable || all.immutable,
        }
    }
}
