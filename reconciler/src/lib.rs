//! lapdev-reconciler

pub mod git;
pub mod load;
pub mod plan;
pub mod render;
pub mod validate;
