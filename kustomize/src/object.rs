//! A rendered Kubernetes object, and how a list of them is written as YAML.

use crate::error::Place;
use crate::yaml;
use serde_json::{Map, Value};

/// One Kubernetes object of a rendering: a mapping with at least `kind`.
#[derive(Clone, Debug)]
pub struct Object {
    value: Value,
    place: Place,
}

impl PartialEq for Object {
    /// Two objects are equal if their content is, wherever it came from.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Object {
    pub(crate) fn new(value: Value, place: Place) -> Self {
        Self { value, place }
    }

    /// The whole object.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The whole object, for changing it.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Gives the object away.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The file and line that the object was read from, or the generator that made it.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The field `apiVersion`, such as `apps/v1`; empty if absent.
    #[must_use]
    pub fn api_version(&self) -> &str {
        text(&self.value, "apiVersion")
    }

    /// The group of `apiVersion`; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The version of `apiVersion`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version().split_once('/').map_or(self.api_version(), |(_, version)| version)
    }

    /// The field `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.value, "kind")
    }

    /// The field `metadata.name`; empty if absent.
    #[must_use]
    pub fn name(&self) -> &str {
        text(self.metadata(), "name")
    }

    /// The field `metadata.namespace`, if present and not empty.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        Some(text(self.metadata(), "namespace")).filter(|namespace| !namespace.is_empty())
    }

    /// The mapping `metadata.labels`, if present.
    #[must_use]
    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.metadata().get("labels")?.as_object()
    }

    /// The mapping `metadata.annotations`, if present.
    #[must_use]
    pub fn annotations(&self) -> Option<&Map<String, Value>> {
        self.metadata().get("annotations")?.as_object()
    }

    /// The object as YAML in the style of the reference's command, with a final newline.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::emit(&self.value)
    }

    fn metadata(&self) -> &Value {
        self.value.get("metadata").unwrap_or(&Value::Null)
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Objects as one YAML stream in the style of the reference's command: joined by `---`, none in front.
#[must_use]
pub fn to_yaml(objects: &[Object]) -> String {
    let mut text = String::new();
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            text.push_str("---\n");
        }
        yaml::emit_into(&object.value, &mut text);
    }
    text
}
