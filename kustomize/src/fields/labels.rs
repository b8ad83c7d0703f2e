//! `labels:` and its older form `commonLabels:` add labels to objects, and where asked to
//! templates and selectors.

use super::pairs;
use crate::error::{Error, Place, Problem};
use crate::field_spec::{self, FieldSpec, FieldSpecs};
use crate::kustomization::Field;
use crate::resource::ResourceList;
use std::collections::BTreeMap;

/// One entry of `labels:`.
#[derive(Debug)]
pub struct Labels {
    pairs: BTreeMap<String, String>,
    include_selectors: bool,
    include_templates: bool,
    include_volume_claim_templates: bool,
    fields: Vec<FieldSpec>,
    place: Place,
}

const FIELDS: &[&str] = &["pairs", "includeSelectors", "includeTemplates", "includeVolumeClaimTemplates", "fields"];

impl Labels {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(FIELDS)?;
        Ok(Self {
            pairs: fields.pairs("pairs")?,
            include_selectors: fields.boolean("includeSelectors")?,
            include_templates: fields.boolean("includeTemplates")?,
            include_volume_claim_templates: fields.boolean("includeVolumeClaimTemplates")?,
            fields: fields.list("fields", super::field_spec)?,
            place: field.place(),
        })
    }

    /// Where these labels go.
    fn specs(&self, all: &FieldSpecs) -> Result<Vec<FieldSpec>, String> {
        let mut specs = self.fields.clone();
        field_spec::merge(&mut specs, &all.labels)?;
        if self.include_selectors {
            field_spec::merge(&mut specs, &all.common_labels)?;
            return Ok(specs);
        }
        if self.include_templates {
            field_spec::merge(&mut specs, &all.template_labels)?;
        }
        if self.include_volume_claim_templates {
            field_spec::merge(&mut specs, &all.volume_claim_template_labels)?;
        }
        field_spec::merge(&mut specs, &[FieldSpec::any("metadata/labels", true)])?;
        Ok(specs)
    }

    /// Adds the labels to all objects.
    pub fn apply(&self, list: &mut ResourceList, all: &FieldSpecs) -> Result<(), Error> {
        let specs = self.specs(all).map_err(|why| Error::new(self.place.clone(), Problem::Invalid(why)))?;
        pairs::set(list, &self.pairs, &specs)
    }
}
