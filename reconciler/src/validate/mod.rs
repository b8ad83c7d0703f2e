//! Whether what a config repository declares holds together: the second step of the pipeline. Pure, and complete: every
//! check runs, each error has its place.
//!
//! [`validate`] judges the kinds alone, [`check_objects`] a catalog's rendered objects against them, and [`check_tree`]
//! is the whole way from a tree's files, for `lapdev validate` and for each config commit alike.

mod catalog;
mod environment;
mod kinds;
mod objects;
mod router;
mod scope;
mod tree;
mod workloads;

#[cfg(test)]
mod tests;

pub use kinds::validate;
pub use objects::check_objects;
pub(crate) use router::routers_own;
pub(crate) use scope::is_cluster_scoped;
pub(crate) use tree::is_passing;
pub use tree::{Report, check_tree};

use lapdev_api::words::nearest;

/// "did you mean", or what there is.
fn expected_one_of<'a>(name: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const MOST: usize = 12;
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<_> = known.into_iter().collect();
    match all.len() {
        0 => format!("expected {what}; there is none"),
        n if n <= MOST => format!("expected {what}; there is {}", all.join(", ")),
        n => format!("expected {what}; there are {n}, among them {}", all[..MOST].join(", ")),
    }
}
