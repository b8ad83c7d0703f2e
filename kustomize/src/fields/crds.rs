//! `crds:` reads OpenAPI descriptions of custom kinds, in JSON or YAML, whose extensions name the
//! fields that hold names of other objects, labels, annotations or names of their own.

use crate::budget::MAX_STEPS;
use crate::error::{Error, Place, Problem};
use crate::field_spec::{FieldSpec, FieldSpecs, NameReference, merge};
use crate::kustomization::Text;
use crate::path::TreePath;
use crate::source::Source;
use serde_json::{Map, Value};

/// Definitions that refer to each other can be walked in very many ways.
const MAX_PROPERTIES: usize = 100_000;
/// Each field that matters is compared with all before it.
const MAX_FIELDS: usize = 5_000;

/// The field specs of all files.
pub fn read(entries: &[Text], source: Source<'_>, root: &TreePath) -> Result<FieldSpecs, Error> {
    let mut all = FieldSpecs::default();
    for entry in entries {
        let file = source.required_file(root, &entry.value, &entry.place)?;
        let invalid = |why| Error::new(Place::of(&file), Problem::Invalid(why));
        let Value::Object(definitions) = super::openapi::document(source, &file)? else {
            return Err(invalid("a mapping of type names to definitions was expected".to_owned()));
        };
        if let Some((name, _)) =
            definitions.iter().find(|(_, definition)| !definition.is_object() && !definition.is_null())
        {
            let why =
                format!("`{name}` is no definition of a type; a CustomResourceDefinition belongs under `resources`");
            return Err(invalid(why));
        }
        let mut specs = FieldSpecs::default();
        let mut reader =
            Reader { definitions: &definitions, specs: &mut specs, left: MAX_PROPERTIES, fields: MAX_FIELDS };
        reader.all().map_err(invalid)?;
        all.add(&specs).map_err(invalid)?;
    }
    Ok(all)
}

const TOO_MANY: &str = "too many fields hold labels, annotations or names; split the kustomization";

struct Reader<'d> {
    definitions: &'d Map<String, Value>,
    specs: &'d mut FieldSpecs,
    left: usize,
    fields: usize,
}

impl<'d> Reader<'d> {
    fn all(&mut self) -> Result<(), String> {
        for name in self.definitions.keys() {
            if is_object_type(self.properties(name)) {
                let kind = name.rsplit('.').next().unwrap_or(name);
                self.definition(kind, name, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    fn properties(&self, name: &str) -> Option<&'d Map<String, Value>> {
        let definition = self.definitions.get(name)?.as_object()?;
        let (_, schema) = definition.iter().find(|(key, _)| key.eq_ignore_ascii_case("schema"))?;
        schema.get("properties")?.as_object()
    }

    /// Reads the properties of a definition that stands at a path in the objects of a kind.
    fn definition(&mut self, kind: &str, name: &str, path: &mut Vec<&'d str>) -> Result<(), String> {
        if path.len() > MAX_STEPS {
            return Err(format!(
                "the definition `{name}` refers to itself, or is nested deeper than {MAX_STEPS} levels"
            ));
        }
        for (field, property) in self.properties(name).into_iter().flatten() {
            self.left = self.left.checked_sub(1).ok_or("too many properties refer to each other")?;
            path.push(field.as_str());
            self.property(kind, property, path)?;
            if let Some(reference) = property.get("$ref").and_then(Value::as_str) {
                self.definition(kind, reference, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn property(&mut self, kind: &str, property: &Value, path: &[&str]) -> Result<(), String> {
        let text = |name: &str| property.get(format!("x-kubernetes-{name}")).and_then(Value::as_str);
        let lists = [
            ("annotation", &mut self.specs.common_annotations),
            ("label-selector", &mut self.specs.common_labels),
            ("identity", &mut self.specs.prefixes),
        ];
        for (extension, list) in lists {
            if text(extension).is_some() {
                self.fields = self.fields.checked_sub(1).ok_or(TOO_MANY)?;
                merge(list, &[spec(kind, path.join("/"))])?;
            }
        }
        let (Some(version), Some(target)) = (text("object-ref-api-version"), text("object-ref-kind")) else {
            return Ok(());
        };
        self.fields = self.fields.checked_sub(1).ok_or(TOO_MANY)?;
        let key = text("object-ref-name-key").unwrap_or("name");
        self.specs.add_reference(&NameReference {
            group: "".into(),
            version: version.to_owned().into(),
            kind: target.to_owned().into(),
            referrers: vec![spec(kind, format!("{}/{key}", path.join("/")))],
        })
    }
}

fn spec(kind: &str, path: String) -> FieldSpec {
    FieldSpec { group: "".into(), version: "".into(), kind: kind.to_owned().into(), path: path.into(), create: false }
}

/// Whether the properties are those of an object of its own, rather than of a part of one.
fn is_object_type(properties: Option<&Map<String, Value>>) -> bool {
    properties
        .is_some_and(|properties| ["kind", "apiVersion", "metadata"].iter().all(|name| properties.contains_key(*name)))
}
