//! YAML as the reference reads and writes it: events come from `granit-parser` (the parser beneath
//! serde-saphyr); which plain scalar means what is decided here, because the reference's rules are
//! neither YAML 1.1 nor 1.2, and depend on whether it reads an object or a kustomization.

mod breaks;
mod emit;
mod folded;
mod mend;
mod node;
mod order;
mod parse;
mod read_back;
mod scalar;
mod style;
mod styled;
mod timestamp;

pub use emit::{emit, emit_into};
pub use node::{Entry, Node, NodeKind, Spelling};
pub use parse::{REPEATED, documents, single};
pub use read_back::{check_key, check_text};
pub use scalar::Dialect;
pub use style::stands_plain;
pub use styled::rewrite;

/// What a plain scalar means, as a value; text that is no finite number stays text.
pub fn plain(text: &str, dialect: Dialect) -> serde_json::Value {
    match scalar::resolve(text, dialect) {
        Ok(NodeKind::Bool(value)) => value.into(),
        Ok(NodeKind::Number(value)) => value.into(),
        Ok(NodeKind::Null { .. }) => serde_json::Value::Null,
        Ok(NodeKind::String(value)) => value.into(),
        _ => text.into(),
    }
}
