//! The real parts that lapdev's tests and demo run on. Nothing that is shipped depends on this crate.

pub mod bench;
pub mod cluster;
pub mod demo;
pub mod github;
pub mod load;
pub mod stage;
pub mod visitor;
