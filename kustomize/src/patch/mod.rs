//! Patches: strategic merge and JSON 6902, and which objects they apply to.

mod elements;
pub mod json6902;
mod merge_keys;
mod schema;
pub mod selector;
pub mod strategic_merge;
