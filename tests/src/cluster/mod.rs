//! A real Kubernetes for tests and demos, at two levels: [`ApiCluster`] (no root, no node) and, with a node and pods in a
//! network namespace of its own, [`NodesCluster`]. Real programs, built once by `tests/tools/build`; nothing is mocked.
//!
//! All state of a cluster lies in one [run folder](RunFolder). One script, `teardown.sh`, ends it, from that folder alone:
//! a watcher process runs it when the owner of the cluster is gone, whatever ended the owner.

mod api;
mod control_plane;
mod credentials;
mod error;
mod hand_over;
mod image;
mod namespace;
mod network;
mod node;
mod nodes;
mod process;
mod run_folder;
mod running;
mod teardown;
mod tools;

pub use api::ApiCluster;
pub use error::ClusterError;
pub use hand_over::HandOver;
pub use image::Image;
pub use namespace::Namespace;
pub use network::{NODE_ADDRESS, OUT_ADDRESS, OUT_NAME};
pub use nodes::NodesCluster;
pub use run_folder::{ClusterName, RunFolder};
pub use teardown::down;
pub use tools::Tools;
