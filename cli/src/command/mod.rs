//! One module per command. None has logic of its own: each reads its input, calls the part that knows, and prints.

pub mod audit;
pub mod explain;
pub mod get;
pub mod render;
pub mod serve;
pub mod token;
pub mod trace;
pub mod validate;
