//! How objects are, by the rules of kstatus (sigs.k8s.io/cli-utils), and why: the pod's own reason is carried up to the
//! workload that it belongs to. Pure functions on objects as the API server gives them.
//!
//! Two differences from kstatus, both so that people learn sooner: a workload whose pods cannot start without a change
//! (image, crash, configuration, quota) is Failed at once, not when its progress deadline ends; and a pod that cannot
//! be scheduled is InProgress with its reason however long it waits, since a node may come.

mod builtin;
mod reason;
mod summary;

pub use builtin::{Observation, assess};
pub use reason::{Reason, worst_of_pods};
pub use summary::{Facts, Obstacle, summarize};
