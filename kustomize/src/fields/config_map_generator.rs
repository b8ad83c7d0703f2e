//! `configMapGenerator:` makes config maps from literals, files and env files.

use super::generator_options::GeneratorOptions;
use crate::error::{Error, Problem};
use crate::generate::{Generator, wrapped};
use crate::kustomization::Field;
use crate::path::TreePath;
use crate::resource::Resource;
use crate::source::Source;
use crate::yaml;
use serde_json::{Map, Value};

/// One entry of `configMapGenerator:`.
#[derive(Debug)]
pub struct ConfigMapGenerator(Generator);

impl ConfigMapGenerator {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        Ok(Self(Generator::decode(&field.mapping(Generator::FIELDS)?, field.place())?))
    }

    /// Text goes to `data`, other bytes to `binaryData`; neither is there without a key.
    pub fn generate(&self, source: Source<'_>, root: &TreePath, all: &GeneratorOptions) -> Result<Resource, Error> {
        let (mut data, mut binary) = (Map::new(), Map::new());
        for (key, bytes) in self.0.sources.load(source, root)? {
            match String::from_utf8(bytes) {
                Ok(text) => {
                    let checked = yaml::check_text(&text).map_err(|why| format!("the value of `{key}`: {why}"));
                    checked.map_err(|why| Error::new(self.0.place.clone(), Problem::Invalid(why)))?;
                    data.insert(key, Value::String(text))
                }
                Err(error) => binary.insert(key, Value::String(wrapped(error.as_bytes()))),
            };
        }
        let fields = [("data", data), ("binaryData", binary)].into_iter().filter(|(_, map)| !map.is_empty());
        let fields = fields.map(|(name, map)| (name.to_owned(), Value::Object(map))).collect();
        self.0.resource("ConfigMap", fields, all)
    }
}
