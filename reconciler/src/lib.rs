//! lapdev-reconciler

pub mod git;
pub mod load;
pub mod plan;
pub mod publish;
pub mod render;
pub mod report;
pub mod run;
pub mod validate;
