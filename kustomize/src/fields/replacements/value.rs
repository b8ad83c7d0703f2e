//! What replacements copy. A scalar goes as text, and each field that takes it says of which type.

use crate::field_path::{FieldPath, Located};
use crate::resource::Resource;
use crate::yaml::{self, Dialect};
use serde_json::Value;

/// Stands in a field that a replacement makes, until it is filled. Nobody writes this.
const CREATED: &str = "\0created";

/// A value on its way from a source to its targets.
#[derive(Debug)]
pub enum Copied {
    Scalar { text: String, typed: Type },
    Tree(Value),
}

/// The type of a scalar's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Whatever the text reads as.
    Any,
    Text,
    Integer,
    Float,
    Bool,
    Null,
}

impl Type {
    fn of(value: &Value) -> Self {
        match value {
            Value::String(text) if text == CREATED => Self::Any,
            Value::String(_) => Self::Text,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => Self::Integer,
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Null,
        }
    }

    /// The text as a value of this type.
    fn read(self, text: &str) -> Result<Value, String> {
        if self == Self::Text {
            return Ok(Value::from(text));
        }
        let value = yaml::plain(text, Dialect::Object);
        let read = Self::of(&value);
        match self == Self::Any || self == read || (self == Self::Float && read == Self::Integer) {
            true => Ok(value),
            false => Err("the value does not fit the type of the field".to_owned()),
        }
    }
}

impl Copied {
    /// A value that a kustomization states itself.
    pub fn literal(text: &str) -> Self {
        Self::Scalar { text: text.to_owned(), typed: Type::Any }
    }

    /// The value of a field, with the text that its file has for it.
    pub fn field(resource: &Resource, path: &FieldPath) -> Result<Option<Self>, String> {
        let Some(Located { value, around, name }) = path.locate(&resource.value)? else { return Ok(None) };
        Ok(match value {
            Value::Array(items) if items.is_empty() => None,
            Value::Object(map) if map.is_empty() => None,
            Value::Array(_) | Value::Object(_) => {
                let name = name.replace('~', "~0").replace('/', "~1");
                let at = if name.is_empty() { around } else { format!("{around}/{name}") };
                Some(Self::Tree(resource.copy_of(&at, value)))
            }
            scalar => Some(Self::Scalar { text: resource.spelled(&around, &name, scalar), typed: Type::of(scalar) }),
        })
    }

    /// One part of a text.
    pub fn part(self, delimiter: &str, index: i64) -> Result<Self, String> {
        let Self::Scalar { text, typed } = self else {
            return Err("only a scalar can be split at a delimiter".to_owned());
        };
        let part = usize::try_from(index).ok().and_then(|at| text.split(delimiter).nth(at));
        let text = part.ok_or_else(|| format!("there is no part {index} in the value"))?.to_owned();
        Ok(Self::Scalar { text, typed })
    }

    /// What a field is made as, before it is filled.
    pub fn made(&self) -> Value {
        match self {
            Self::Scalar { .. } => Value::from(CREATED),
            Self::Tree(Value::Array(_)) => Value::Array(Vec::new()),
            Self::Tree(_) => Value::Object(serde_json::Map::new()),
        }
    }

    /// Takes the place of a mapping or a list.
    pub fn whole(&self) -> Result<Value, String> {
        match self {
            Self::Scalar { text, typed } => typed.read(text),
            Self::Tree(value) => Ok(value.clone()),
        }
    }

    /// Fills a scalar field, whose text `join` combines with that of the value. The text of a
    /// mapping or a list is empty.
    pub fn fill(&self, field: &mut Value, join: impl FnOnce(&str, &str) -> String) -> Result<(), String> {
        let typed = Type::of(field);
        let part = match self {
            Self::Scalar { text, .. } => text,
            Self::Tree(_) => "",
        };
        let old = match (&*field, typed) {
            (_, Type::Any) => String::new(),
            (Value::String(text), _) => text.clone(),
            (scalar, _) => scalar.to_string(),
        };
        *field = typed.read(&join(&old, part))?;
        Ok(())
    }
}
