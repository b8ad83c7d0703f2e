//! Field specs: which fields of which kinds a transformer touches, and walking to them.

mod defaults;
mod walk;

pub use walk::{Create, apply};

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
    pub names: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub volume_claim_template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
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
            names: rows(defaults::NAME),
            namespace: rows(defaults::NAMESPACE),
            common_labels: rows(defaults::COMMON_LABELS),
            labels: Vec::new(),
            template_labels: rows(defaults::TEMPLATE_LABELS),
            volume_claim_template_labels: rows(defaults::VOLUME_CLAIM_TEMPLATE_LABELS),
            common_annotations: rows(defaults::COMMON_ANNOTATIONS),
            images: rows(defaults::IMAGES),
            replicas: rows(defaults::REPLICAS),
            name_references: defaults::NAME_REFERENCES.iter().map(references).collect(),
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

    /// Whether this spec covers at least the types of the other one, at the same path.
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
