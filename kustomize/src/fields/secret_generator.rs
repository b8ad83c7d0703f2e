//! `secretGenerator:` makes secrets from literals, files and env files.

use super::generator_options::GeneratorOptions;
use crate::error::Error;
use crate::generate::{Generator, wrapped};
use crate::kustomization::Field;
use crate::path::TreePath;
use crate::resource::Resource;
use crate::source::Source;
use serde_json::{Map, Value};

/// One entry of `secretGenerator:`.
#[derive(Debug)]
pub struct SecretGenerator {
    generator: Generator,
    kind: String,
}

impl SecretGenerator {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let known: Vec<&'static str> = Generator::FIELDS.iter().copied().chain(["type"]).collect();
        let fields = field.mapping(&known)?;
        let kind = Some(fields.string("type")?).filter(|kind| !kind.is_empty());
        let generator = Generator::decode(&fields, field.place())?;
        Ok(Self { generator, kind: kind.unwrap_or_else(|| "Opaque".to_owned()) })
    }

    /// All values are base64, whatever they hold.
    pub fn generate(&self, source: Source<'_>, root: &TreePath, all: &GeneratorOptions) -> Result<Resource, Error> {
        let pairs = self.generator.sources.load(source, root)?;
        let data: Map<String, Value> =
            pairs.into_iter().map(|(key, bytes)| (key, Value::String(wrapped(&bytes)))).collect();
        let fields = Map::from_iter([
            ("type".to_owned(), Value::from(self.kind.as_str())),
            ("data".to_owned(), Value::Object(data)),
        ]);
        self.generator.resource("Secret", fields, all)
    }
}
