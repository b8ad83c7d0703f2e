//! Field specs: which fields of which kinds a transformer touches, and walking to them.

mod defaults;
mod walk;

pub use walk::{Create, apply, lead};

use crate::resource::Gvk;
use std::borrow::Cow;

/// A path in the objects of some types. Empty group, version or kind mean any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    /// Fields separated by `/` (`\/` for one inside of a name); lists are passed through, and a
    /// field that ends in `[]` must be one.
    pub path: Cow<'static, str>,
    /// Whether missing fields on the way are made.
    pub create: bool,
}

/// The fields that hold the name of an object of some type.
#[derive(Clone, Debug)]
pub struct NameReference {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub referrers: Vec<FieldSpec>,
}

/// All field specs of a kustomization.
#[derive(Clone, Debug)]
pub struct FieldSpecs {
    /// Whether there is nothing in it but the built-in field specs.
    pub is_default: bool,
    pub prefixes: Vec<FieldSpec>,
    pub suffixes: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub volume_claim_template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
    pub var_references: Vec<FieldSpec>,
    pub name_references: Vec<NameReference>,
}

impl Default for FieldSpecs {
    fn default() -> Self {
        let rows = |rows: &[defaults::Row]| rows.iter().map(FieldSpec::of_row).collect();
        let references = |row: &defaults::ReferenceRow| NameReference {
            group: row.0.into(),
            version: row.1.into(),
            kind: row.2.into(),
            referrers: row.3.iter().map(FieldSpec::of_row).collect(),
        };
        Self {
            is_default: true,
            prefixes: rows(defaults::NAME),
            suffixes: rows(defaults::NAME),
            namespace: rows(defaults::NAMESPACE),
            common_labels: rows(defaults::COMMON_LABELS),
            labels: Vec::new(),
            template_labels: rows(defaults::TEMPLATE_LABELS),
            volume_claim_template_labels: rows(defaults::VOLUME_CLAIM_TEMPLATE_LABELS),
            common_annotations: rows(defaults::COMMON_ANNOTATIONS),
            images: rows(defaults::IMAGES),
            replicas: rows(defaults::REPLICAS),
            var_references: rows(defaults::VAR_REFERENCES),
            name_references: defaults::NAME_REFERENCES.iter().map(references).collect(),
        }
    }
}

impl FieldSpecs {
    /// Adds those of another kustomization. The message names two that contradict each other.
    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        if other.is_default {
            return Ok(());
        }
        self.is_default = false;
        let lists = [
            (&mut self.prefixes, &other.prefixes),
            (&mut self.suffixes, &other.suffixes),
            (&mut self.namespace, &other.namespace),
            (&mut self.common_labels, &other.common_labels),
            (&mut self.labels, &other.labels),
            (&mut self.template_labels, &other.template_labels),
            (&mut self.volume_claim_template_labels, &other.volume_claim_template_labels),
            (&mut self.common_annotations, &other.common_annotations),
            (&mut self.var_references, &other.var_references),
            (&mut self.images, &other.images),
            (&mut self.replicas, &other.replicas),
        ];
        for (mine, theirs) in lists {
            merge(mine, theirs)?;
        }
        other.name_references.iter().try_for_each(|reference| self.add_reference(reference))
    }

    /// Adds the fields that hold names of a type to those already known for it.
    pub fn add_reference(&mut self, reference: &NameReference) -> Result<(), String> {
        let same = |known: &&mut NameReference| {
            (&known.group, &known.version, &known.kind) == (&reference.group, &reference.version, &reference.kind)
        };
        match self.name_references.iter_mut().find(same) {
            Some(known) => merge(&mut known.referrers, &reference.referrers),
            None => {
                self.name_references.push(reference.clone());
                Ok(())
            }
        }
    }
}

impl FieldSpec {
    fn of_row(row: &defaults::Row) -> Self {
        Self { group: row.0.into(), version: row.1.into(), kind: row.2.into(), path: row.3.into(), create: row.4 }
    }

    /// A path in objects of every type.
    pub fn any(path: &'static str, create: bool) -> Self {
        Self { group: "".into(), version: "".into(), kind: "".into(), path: path.into(), create }
    }

    pub fn selects(&self, gvk: &Gvk) -> bool {
        selects((&self.group, &self.version, &self.kind), gvk)
    }

    /// Whether the reference takes the other one for a repetition of this one: the same path, in
    /// the same types or in more.
    fn covers(&self, other: &Self) -> bool {
        let wider = |mine: &str, theirs: &str| theirs.is_empty() || mine == theirs;
        self.path == other.path
            && wider(&self.group, &other.group)
            && wider(&self.version, &other.version)
            && wider(&self.kind, &other.kind)
    }
}

impl NameReference {
    pub fn selects(&self, gvk: &Gvk) -> bool {
        selects((&self.group, &self.version, &self.kind), gvk)
    }
}

fn selects((group, version, kind): (&str, &str, &str), gvk: &Gvk) -> bool {
    (kind.is_empty() || kind == gvk.kind)
        && (group.is_empty() || group == gvk.group)
        && (version.is_empty() || version == gvk.version)
}

/// Adds field specs to others, each once. The message names two that contradict each other.
pub fn merge(specs: &mut Vec<FieldSpec>, more: &[FieldSpec]) -> Result<(), String> {
    for spec in more {
        match specs.iter().find(|known| known.covers(spec)) {
            None => specs.push(spec.clone()),
            Some(known) if known.create == spec.create => {}
            Some(_) => return Err(format!("the field spec `{}` is given both with and without `create`", spec.path)),
        }
    }
    Ok(())
}
