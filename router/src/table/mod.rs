//! The routing table, pure: `RoutingTable` and the namespace's EndpointSlices in, a [`Snapshot`] out.
//!
//! [`Index`] holds the newest of both and changes what a change concerns, nothing else; the watches feed it, on a thread
//! of their own. Workers hold a [`Snapshot`], which is immutable.

mod branches;
mod check;
mod endpoint;
mod index;
mod services;
mod slice;
mod snapshot;
#[cfg(test)]
mod tests;

pub use branches::Branch;
pub use check::{TableError, read};
pub use endpoint::{Address, Endpoint, Pool, Readiness};
pub use index::{Index, LINGER};
pub use slice::Slice;
pub use snapshot::{RoutedTarget, Snapshot, Version};
