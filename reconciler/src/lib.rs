//! lapdev-reconciler

pub mod git;
pub mod load;
pub mod validate;
