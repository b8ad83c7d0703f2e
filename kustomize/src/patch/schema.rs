//! What strategic merge knows about the type of a value: which lists merge, and by which keys.

use super::merge_keys::{DEFINITIONS, Field, KINDS};
use serde_json::Value;

/// The type of a value, as far as merging is concerned.
#[derive(Clone, Copy, Default)]
pub struct Schema {
    fields: &'static [Field],
    /// The keys by which this list merges; `None` if it is replaced.
    pub keys: Option<&'static [&'static str]>,
    elements: Option<u16>,
}

impl Schema {
    /// The type of the objects of a kind; knows nothing about kinds that are not built in.
    fn of_kind(api_version: &str, kind: &str) -> Self {
        if kind.is_empty() {
            return Self::default();
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        match KINDS.binary_search_by(|row| (row.0, row.1, row.2).cmp(&(group, version, kind))) {
            Ok(at) => Self::of_definition(KINDS[at].3),
            Err(_) => Self::default(),
        }
    }

    /// This type, or if nothing is known about it the kind that one of the values names itself.
    pub fn or_named_by(self, values: [Option<&Value>; 2]) -> Self {
        if self.is_known() {
            return self;
        }
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut named =
            values.into_iter().flatten().map(|value| Self::of_kind(&text(value, "apiVersion"), &text(value, "kind")));
        named.find(|schema| schema.is_known()).unwrap_or(self)
    }

    fn is_known(self) -> bool {
        !self.fields.is_empty() || self.keys.is_some()
    }

    fn of_definition(index: u16) -> Self {
        Self { fields: DEFINITIONS.get(usize::from(index)).copied().unwrap_or_default(), keys: None, elements: None }
    }

    /// The type of a field.
    pub fn field(self, name: &str) -> Self {
        match self.fields.iter().find(|field| field.name == name) {
            Some(Field { keys: Some(keys), definition, .. }) => {
                Self { fields: &[], keys: Some(keys), elements: *definition }
            }
            Some(Field { definition: Some(definition), .. }) => Self::of_definition(*definition),
            _ => Self::default(),
        }
    }

    /// The type of a list's elements.
    pub fn elements(self) -> Self {
        self.elements.map(Self::of_definition).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_definition_that_is_named_exists_and_kinds_are_sorted() {
        assert!(KINDS.is_sorted());
        let count = u16::try_from(DEFINITIONS.len()).expect("few");
        let named = DEFINITIONS.iter().flat_map(|fields| fields.iter()).filter_map(|field| field.definition);
        assert!(named.chain(KINDS.iter().map(|row| row.3)).all(|index| index < count));
    }

    #[test]
    fn containers_of_a_deployment_merge_by_name() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        let spec =
            Schema::default().or_named_by([Some(&deployment), None]).field("spec").field("template").field("spec");
        assert_eq!(spec.field("containers").keys, Some(&["name"][..]));
        assert_eq!(spec.field("containers").elements().field("ports").keys, Some(&["containerPort", "protocol"][..]));
        assert_eq!(spec.field("tolerations").keys, None);
    }
}
