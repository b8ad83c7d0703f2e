//! What strategic merge knows about the type of a value: which lists merge, and by which keys.

use super::merge_keys::{DEFINITIONS, Field};
use super::schema_comments::SchemaComments;
use super::types::Types;
use serde_json::Value;

/// The type of a value, as far as merging is concerned.
#[derive(Clone, Copy)]
pub struct Schema<'s> {
    types: &'s Types,
    form: Form<'s>,
    /// What the target and the patch say in comments from here on.
    comments: [Option<&'s SchemaComments>; 2],
}

/// Where a type is described.
#[derive(Clone, Copy)]
pub enum Form<'s> {
    Unknown,
    /// A built-in type that has fields.
    Fields(&'static [Field]),
    /// A built-in list that merges: its keys, and the definition of its elements.
    List(&'static [&'static str], Option<u16>),
    /// A schema of an OpenAPI document or of a comment.
    Custom(&'s Value),
}

impl Form<'_> {
    /// A built-in definition.
    pub fn of_definition(index: u16) -> Self {
        DEFINITIONS.get(usize::from(index)).map_or(Self::Unknown, |fields| Self::Fields(fields))
    }
}

impl<'s> Schema<'s> {
    /// A type that is not known yet, with the comments of the target and of the patch.
    pub fn new(types: &'s Types, comments: [Option<&'s SchemaComments>; 2]) -> Self {
        Self { types, form: Form::Unknown, comments }
    }

    /// This type, or if nothing is known about it the kind that one of the values names itself.
    pub fn or_named_by(self, values: [Option<&Value>; 2]) -> Self {
        if !matches!(self.form, Form::Unknown | Form::Fields([])) {
            return self;
        }
        let text = |value: &'_ Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        for value in values.into_iter().flatten().filter(|value| value.is_object()) {
            let form = self.types.of_kind(&text(value, "apiVersion"), &text(value, "kind"));
            if !matches!(form, Form::Unknown | Form::Fields([])) {
                return Self { form, ..self };
            }
        }
        self
    }

    /// The type of a field. What a comment says about it comes first.
    pub fn field(self, name: &str) -> Self {
        let comments = self.comments.map(|comments| comments.and_then(|comments| comments.field(name)));
        let commented = comments.iter().flatten().find_map(|comments| comments.schema());
        let form = match (commented, self.form) {
            (Some(schema), _) => Form::Custom(schema),
            (None, Form::Fields(fields)) => match fields.iter().find(|field| field.name == name) {
                Some(Field { keys: Some(keys), definition, .. }) => Form::List(keys, *definition),
                Some(Field { definition: Some(definition), .. }) => Form::of_definition(*definition),
                _ => Form::Unknown,
            },
            (None, Form::Custom(schema)) => {
                let property = schema.get("properties").and_then(|properties| properties.get(name));
                let property = property.or_else(|| schema.get("additionalProperties"));
                property.filter(|property| property.is_object()).map_or(Form::Unknown, Form::Custom)
            }
            (None, Form::Unknown | Form::List(..)) => Form::Unknown,
        };
        Self { form: self.types.resolved(form), comments, ..self }
    }

    /// The type of the list's element that has these values of its keys.
    pub fn element(self, keys: &[&str], values: &[String]) -> Self {
        let form = match self.form {
            Form::List(_, Some(definition)) => Form::of_definition(definition),
            Form::Custom(schema) if is_list(schema) => {
                schema.get("items").filter(|items| items.is_object()).map_or(Form::Unknown, Form::Custom)
            }
            _ => Form::Unknown,
        };
        let comments = self.comments.map(|comments| comments.and_then(|comments| comments.element(keys, values)));
        Self { form: self.types.resolved(form), comments, ..self }
    }

    /// The keys by which this list merges, none for a list of scalars; `None` if it is replaced.
    pub fn keys(&self) -> Option<Vec<&'s str>> {
        match self.form {
            Form::List(keys, _) => Some(keys.to_vec()),
            Form::Custom(schema) => {
                let strategy = schema.get("x-kubernetes-patch-strategy")?.as_str()?;
                strategy.split(',').any(|strategy| strategy == "merge").then(|| custom_keys(schema))
            }
            Form::Unknown | Form::Fields(_) => None,
        }
    }
}

fn is_list(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "array",
        Some(Value::Array(names)) => matches!(names.as_slice(), [name] if name == "array"),
        _ => false,
    }
}

fn custom_keys(schema: &Value) -> Vec<&str> {
    match (schema.get("x-kubernetes-list-map-keys"), schema.get("x-kubernetes-patch-merge-key")) {
        (Some(Value::Array(keys)), _) => keys.iter().filter_map(Value::as_str).collect(),
        (_, Some(Value::String(key))) => vec![key.as_str()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::merge_keys::KINDS;
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
        let types = Types::default();
        let spec = Schema::new(&types, [None, None]).or_named_by([Some(&deployment), None]);
        let spec = spec.field("spec").field("template").field("spec");
        assert_eq!(spec.field("containers").keys(), Some(vec!["name"]));
        let ports = spec.field("containers").element(&[], &[]).field("ports");
        assert_eq!(ports.keys(), Some(vec!["containerPort", "protocol"]));
        assert_eq!(spec.field("tolerations").keys(), None);
    }
}
