//! Patches: strategic merge and JSON 6902, which objects they apply to, and the types by which lists merge.

mod definition_names;
mod elements;
pub mod json6902;
mod merge_keys;
pub mod rounding;
mod schema;
mod schema_comments;
pub mod selector;
pub mod strategic_merge;
mod types;

pub use schema::Schema;
pub use schema_comments::SchemaComments;
pub use types::Types;
