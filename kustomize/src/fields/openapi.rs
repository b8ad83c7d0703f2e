//! `openapi:` chooses the types by which patches merge: a built-in version, or a document of the
//! tree in JSON or YAML.

use crate::error::{Error, Place, Problem};
use crate::kustomization::{Field, Text};
use crate::path::TreePath;
use crate::source::Source;
use crate::yaml::{self, Dialect};
use serde_json::Value;

/// The versions of Kubernetes whose types are built in.
const BUILT_IN: &[&str] = &["v1.21.2"];

/// The choice of a kustomization, if it makes one.
#[derive(Debug, Default)]
pub struct OpenApi {
    path: Option<Text>,
    version: Option<Text>,
}

impl OpenApi {
    /// A mapping of strings, of which two mean something.
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let texts = field.pairs()?;
        let text = |name: &str| {
            let place = field.place();
            let path = format!("{}.{name}", place.field);
            texts.get(name).map(|value| Text { value: value.clone(), place: place.clone().field(path) })
        };
        Ok(Self { path: text("path"), version: text("version") })
    }

    /// Makes the choice, unless it is made already; the document must be there all the same.
    pub fn choose(&self, source: Source<'_>, root: &TreePath) -> Result<(), Error> {
        let file = self.path.as_ref().map(|path| source.required_file(root, &path.value, &path.place)).transpose()?;
        if source.types.is_chosen() {
            return Ok(());
        }
        match (file, &self.version) {
            (Some(_), Some(version)) => {
                let why = "`path` and `version` exclude each other; remove one";
                Err(Error::new(version.place.clone(), Problem::Invalid(why.to_owned())))
            }
            (Some(file), None) => {
                let document = document(source, &file)?;
                source.types.choose(document).map_err(|why| Error::new(Place::of(&file), Problem::Invalid(why)))
            }
            (None, Some(version)) if version.value.is_empty() => Ok(()),
            (None, Some(version)) if BUILT_IN.contains(&version.value.as_str()) => {
                source.types.choose_built_in();
                Ok(())
            }
            (None, Some(version)) => {
                let why = format!("the version `{}` is not built in; use {}", version.value, BUILT_IN.join(" or "));
                Err(Error::new(version.place.clone(), Problem::Invalid(why)))
            }
            (None, None) => Ok(()),
        }
    }
}

/// A document in JSON, which then begins with a brace, or in YAML.
pub fn document(source: Source<'_>, file: &TreePath) -> Result<Value, Error> {
    let text = source.text(file)?;
    if text.starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| {
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let at = crate::Position { line: count(error.line()), column: count(error.column()) };
            Error::new(Place::at(file, at), Problem::Syntax("this is not JSON, although it begins like it".to_owned()))
        });
    }
    yaml::single(&text, Dialect::Kustomization, &source.options.limits)
        .map(yaml::Node::into_value)
        .map_err(|(at, problem)| Error::new(Place::at(file, at), problem))
}
