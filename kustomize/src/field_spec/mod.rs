//! Field specs: which fields of which kinds a transformer touches, and walking to them.

mod defaults;
mod walk;

pub use walk::{Create, apply, lead};

use crate::resource::Gvk;
use std::borrow::Cow;
use std::rc::Rc;

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
#[derive(Clone, Debug, Default)]
pub struct FieldSpecs {
    /// How the content is known without looking at it.
    content: Content,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    Nothing,
    BuiltIn,
    #[default]
    Any,
}

impl FieldSpecs {
    /// Those of a kustomization that has not begun.
    pub fn nothing() -> Self {
        Self { content: Content::Nothing, ..Self::default() }
    }

    /// The field specs of the built-in kinds.
    pub fn built_in() -> Self {
        let rows = |rows: &[defaults::Row]| rows.iter().map(FieldSpec::of_row).collect();
        let references = |row: &defaults::ReferenceRow| NameReference {
            group: row.0.into(),
            version: row.1.into(),
            kind: row.2.into(),
            referrers: row.3.iter().map(FieldSpec::of_row).collect(),
        };
        Self {
            content: Content::BuiltIn,
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

    /// Adds others behind these. Merging is the reference's, which is more than a sum: the result
    /// is sorted by type, and a field spec that comes after one of fewer types with the same path
    /// counts as a repetition of it. So `metadata/name` for one kind, once merged twice, stands in
    /// for `metadata/name` of all kinds. The message names two that contradict each other.
    pub fn join(this: &mut Rc<Self>, more: &Rc<Self>) -> Result<(), String> {
        match (this.content, more.content) {
            (_, Content::Nothing) | (Content::BuiltIn, Content::BuiltIn) => Ok(()),
            (Content::Nothing, Content::BuiltIn) => {
                *this = Rc::clone(more);
                Ok(())
            }
            _ => Rc::make_mut(this).add(more),
        }
    }

    /// Adds others behind these, as [`FieldSpecs::join`] does.
    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        self.content = Content::Any;
        let theirs = other.lists();
        for (mine, theirs) in self.lists_mut().into_iter().zip(theirs) {
            merge(mine, theirs)?;
        }
        other.name_references.iter().try_for_each(|reference| self.add_reference(reference))?;
        self.sort();
        Ok(())
    }

    /// Sorts each list by the types that its field specs are for.
    pub fn sort(&mut self) {
        for list in self.lists_mut() {
            list.sort_by_cached_key(|spec| order_key(&spec.group, &spec.version, &spec.kind));
        }
        self.name_references
            .sort_by_cached_key(|reference| order_key(&reference.group, &reference.version, &reference.kind));
    }

    fn lists(&self) -> [&Vec<FieldSpec>; 11] {
        [
            &self.prefixes,
            &self.suffixes,
            &self.namespace,
            &self.common_labels,
            &self.labels,
            &self.template_labels,
            &self.volume_claim_template_labels,
            &self.common_annotations,
            &self.var_references,
            &self.images,
            &self.replicas,
        ]
    }

    fn lists_mut(&mut self) -> [&mut Vec<FieldSpec>; 11] {
        [
            &mut self.prefixes,
            &mut self.suffixes,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.volume_claim_template_labels,
            &mut self.common_annotations,
            &mut self.var_references,
            &mut self.images,
            &mut self.replicas,
        ]
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

fn order_key(group: &str, version: &str, kind: &str) -> (isize, String) {
    Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }.order_key()
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
