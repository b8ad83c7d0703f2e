//! Repositories: bare mirrors of remote ones, and reads from their object databases. The one module that uses libgit2.
//!
//! [`Mirrors::fetch`] is the only call that touches the network; it is async, has a hard deadline and gives back what
//! the remote *said* ([`Listing`]). Everything on [`Mirror`] and [`GitTree`] is blocking, local and free of a work tree.
//! Nothing here decides anything: what a missing branch means is the plan's.

mod bases;
mod error;
mod fetch;
mod listing;
mod mirror;
mod mirrors;
mod refs;
mod repair;
mod room;
mod settings;
mod transport;
mod tree;
mod url;

#[cfg(test)]
mod bases_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;

pub use bases::{BaseError, Bases, Pinned};
pub use error::GitError;
pub use mirror::Mirror;
pub use mirrors::{Fetched, Mirrors};
pub use refs::{Listing, Refs};
pub use settings::{Credential, FIRST_FETCH, GitSettings};
pub use tree::{GitTree, MAX_FILE};
pub use url::RepositoryUrl;
