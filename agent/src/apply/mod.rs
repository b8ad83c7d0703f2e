//! Server-side apply of one object and of a namespace: the order, the conflicts, and the calls themselves.
//!
//! Nothing here decides *when* to apply (see `core`), and nothing deletes (see `prune`).

pub mod conflict;
pub mod namespace;
mod object;
pub mod order;
pub mod path;

pub use object::{Applied, ApplyError, Onto, apply_object, apply_onto, sentence};
