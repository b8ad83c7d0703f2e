//! `configurations:` adds field specs to the built-in ones, so that custom kinds take part.

use crate::error::{Error, Place, Problem};
use crate::field_spec::{FieldSpecs, NameReference};
use crate::kustomization::{Field, Text};
use crate::path::TreePath;
use crate::source::Source;
use crate::yaml::{self, Dialect};

const FIELDS: &[&str] = &[
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "templateLabels",
    "volumeClaimTemplateLabels",
    "commonAnnotations",
    "nameReference",
    "varReference",
    "images",
    "replicas",
];

/// The field specs of all files.
pub fn read(entries: &[Text], source: Source<'_>, root: &TreePath) -> Result<FieldSpecs, Error> {
    let mut all = FieldSpecs::default();
    for entry in entries {
        let file = source.required_file(root, &entry.value, &entry.place)?;
        let node = yaml::single(&source.text(&file)?, Dialect::Kustomization, &source.options.limits)
            .map_err(|(at, problem)| Error::new(Place::at(&file, at), problem))?;
        let specs = one(&Field::root(&node, &file))?;
        all.add(&specs).map_err(|why| Error::new(Place::of(&file), Problem::Invalid(why)))?;
    }
    Ok(all)
}

fn one(field: &Field<'_>) -> Result<FieldSpecs, Error> {
    let fields = field.mapping(FIELDS)?;
    let mut specs = FieldSpecs::default();
    let lists = [
        ("namePrefix", &mut specs.prefixes),
        ("nameSuffix", &mut specs.suffixes),
        ("namespace", &mut specs.namespace),
        ("commonLabels", &mut specs.common_labels),
        ("labels", &mut specs.labels),
        ("templateLabels", &mut specs.template_labels),
        ("volumeClaimTemplateLabels", &mut specs.volume_claim_template_labels),
        ("commonAnnotations", &mut specs.common_annotations),
        ("varReference", &mut specs.var_references),
        ("images", &mut specs.images),
        ("replicas", &mut specs.replicas),
    ];
    for (name, list) in lists {
        let Some(field) = fields.get(name) else { continue };
        *list = field.list(super::field_spec)?;
    }
    specs.name_references = fields.list("nameReference", name_reference)?;
    specs.sort();
    Ok(specs)
}

fn name_reference(field: &Field<'_>) -> Result<NameReference, Error> {
    let fields = field.mapping(&["group", "version", "kind", "fieldSpecs"])?;
    Ok(NameReference {
        group: fields.string("group")?.into(),
        version: fields.string("version")?.into(),
        kind: fields.string("kind")?.into(),
        referrers: fields.list("fieldSpecs", super::field_spec)?,
    })
}
