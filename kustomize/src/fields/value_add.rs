//! The transformer `ValueAddTransformer`, which has no field of its own: one value written into
//! fields of many objects, or into a part of a path that they hold.

use super::namespace::Move;
use crate::budget::{MAX_STEPS, text_weight};
use crate::error::{Error, Place, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::kustomization::Field;
use crate::patch::Types;
use crate::patch::selector::Selector;
use crate::path::TreePath;
use crate::resource::ResourceList;
use crate::source::Source;
use crate::yaml::{self, Dialect};
use serde_json::Value;

/// A value and its targets.
#[derive(Debug)]
pub struct ValueAdd {
    value: String,
    targets: Vec<Target>,
    target_file: Option<crate::kustomization::Text>,
    place: Place,
}

#[derive(Debug)]
struct Target {
    selector: Option<Selector>,
    spec: FieldSpec,
    position: i64,
}

impl ValueAdd {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["value", "targets", "targetFilePath"])?;
        Ok(Self {
            value: fields.string("value")?.trim().to_owned(),
            targets: fields.list("targets", Target::decode)?,
            target_file: fields.text("targetFilePath")?,
            place: field.place(),
        })
    }

    pub fn apply(&self, source: Source<'_>, root: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        let value = if self.value.is_empty() { root.file_name() } else { &self.value };
        let more = self.target_file.as_ref().map(|text| {
            let file = source.required_file(root, &text.value, &text.place)?;
            targets_in(source, &file)
        });
        let more = more.transpose()?.unwrap_or_default();
        if self.targets.is_empty() && more.is_empty() {
            return Err(Error::new(self.place.clone(), Problem::Invalid("at least one target is needed".to_owned())));
        }
        self.targets.iter().chain(&more).try_for_each(|target| target.apply(value, source.types, list))
    }
}

fn targets_in(source: Source<'_>, file: &TreePath) -> Result<Vec<Target>, Error> {
    let node = yaml::single(&source.text(file)?, Dialect::Kustomization, &source.options.limits)
        .map_err(|(at, problem)| Error::new(Place::at(file, at), problem))?;
    Field::root(&node, file).mapping(&["targets"])?.list("targets", Target::decode)
}

impl Target {
    fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["selector", "fieldPath", "filePathPosition"])?;
        let path = fields.string("fieldPath")?;
        let position = fields.get("filePathPosition").map_or(Ok(0), |position| position.integer())?;
        if path.is_empty() || path.split('/').count() > MAX_STEPS || position < 0 {
            let why = format!(
                "a target needs a `fieldPath` of at most {MAX_STEPS} steps, and no negative `filePathPosition`"
            );
            return Err(field.error(Problem::Invalid(why)));
        }
        Ok(Self {
            selector: fields.get("selector").map(|selector| Selector::decode(&selector)).transpose()?,
            spec: FieldSpec { path: path.into(), ..FieldSpec::any("", true) },
            position,
        })
    }

    fn apply(&self, value: &str, types: &Types, list: &mut ResourceList) -> Result<(), Error> {
        let is_meant = |resource: &_| self.selector.as_ref().is_none_or(|selector| selector.matches(resource));
        list.pay_for_all(text_weight(value))?;
        for resource in list.items_mut().iter_mut().filter(|resource| is_meant(*resource)) {
            let gvk = resource.gvk();
            let result = match self.spec.path.as_ref() {
                "metadata/namespace" => Move::to(value, Vec::new()).one(resource, types),
                _ => field_spec::apply(&mut resource.value, &gvk, &self.spec, Create::Scalar, &mut |field| {
                    self.set(field, value)
                }),
            };
            result.map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
        }
        list.check_unique()
    }

    fn set(&self, field: &mut Value, value: &str) -> Result<(), String> {
        let old = match &*field {
            Value::Object(_) | Value::Array(_) => return Err("a scalar was expected".to_owned()),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = match usize::try_from(self.position) {
            Ok(position) if position > 0 => with_part(&old, position - 1, value),
            _ => value.to_owned(),
        };
        *field = Value::String(text);
        Ok(())
    }
}

/// A file path with one more part at a position, or at the end if it is shorter.
fn with_part(path: &str, position: usize, part: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    let slash = if path.starts_with('/') { "/" } else { "" };
    format!("{slash}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::with_part;

    #[test]
    fn a_part_goes_in_front_between_or_behind() {
        for (path, position, want) in [
            ("", 0, "P"),
            ("/", 3, "/P"),
            ("pie", 0, "P/pie"),
            ("/raw", 1, "/raw/P"),
            ("a/nice/warm/pie", 3, "a/nice/warm/P/pie"),
            ("/raw", 9999, "/raw/P"),
        ] {
            assert_eq!(with_part(path, position, "P"), want);
        }
    }
}
