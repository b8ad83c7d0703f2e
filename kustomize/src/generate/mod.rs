//! What config map and secret generators share: where their data comes from, how a generated
//! object is put together, and how it merges into one that is there already.

mod absorb;
mod base64;
mod hash;
mod sources;

pub use absorb::merge_into;
pub use base64::wrapped;
pub use hash::add_hashes;
pub use sources::Sources;

use crate::error::{Error, Place, Problem};
use crate::fields::build_metadata::Plugin;
use crate::fields::generator_options::GeneratorOptions;
use crate::kustomization::Fields;
use crate::resource::{Behavior, Resource};
use crate::yaml;
use serde_json::{Map, Value, json};

/// The fields of a generator that do not depend on the kind it makes.
#[derive(Debug)]
pub struct Generator {
    pub place: Place,
    name: String,
    namespace: String,
    behavior: Behavior,
    pub sources: Sources,
    options: GeneratorOptions,
}

impl Generator {
    pub const FIELDS: &[&str] = &["name", "namespace", "behavior", "literals", "files", "envs", "env", "options"];

    pub fn decode(fields: &Fields<'_>, place: Place) -> Result<Self, Error> {
        let name = fields.string("name")?;
        if name.is_empty() {
            return Err(Error::new(place, Problem::Invalid("a generator needs a `name`".to_owned())));
        }
        let behavior = match fields.string("behavior")?.as_str() {
            "replace" => Behavior::Replace,
            "merge" => Behavior::Merge,
            // The reference takes every other word for `create`.
            _ => Behavior::Create,
        };
        Ok(Self {
            name,
            namespace: fields.string("namespace")?,
            behavior,
            sources: Sources::decode(fields)?,
            options: fields
                .get("options")
                .map(|options| GeneratorOptions::decode(&options))
                .transpose()?
                .unwrap_or_default(),
            place,
        })
    }

    /// The object around generated data.
    pub fn resource(&self, kind: &str, data: Map<String, Value>, all: &GeneratorOptions) -> Result<Resource, Error> {
        let options = self.options.over(all);
        let maps = data.values().filter_map(Value::as_object);
        let mut keys = maps.flat_map(Map::keys).chain(options.labels.keys()).chain(options.annotations.keys());
        let checked = keys.try_for_each(|key| yaml::check_key(key));
        checked.map_err(|why| Error::new(self.place.clone(), Problem::Invalid(why)))?;
        let mut metadata = Map::from_iter([("name".to_owned(), Value::from(self.name.as_str()))]);
        if !self.namespace.is_empty() {
            metadata.insert("namespace".to_owned(), Value::from(self.namespace.as_str()));
        }
        for (field, pairs) in [("labels", &options.labels), ("annotations", &options.annotations)] {
            if !pairs.is_empty() {
                metadata.insert(field.to_owned(), json!(pairs));
            }
        }
        let mut object = Map::from_iter([
            ("apiVersion".to_owned(), Value::from("v1")),
            ("kind".to_owned(), Value::from(kind)),
            ("metadata".to_owned(), Value::Object(metadata)),
        ]);
        object.extend(data);
        if options.immutable {
            object.insert("immutable".to_owned(), Value::Bool(true));
        }
        let mut resource = Resource::new(Value::Object(object), self.place.clone());
        resource.made_by = Some(Plugin::of_field(&format!("{kind}Generator")));
        resource.behavior = self.behavior;
        resource.needs_hash = !options.disable_name_suffix_hash;
        Ok(resource)
    }
}
