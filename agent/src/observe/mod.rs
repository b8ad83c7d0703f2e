//! What the cluster really holds, kept in memory by watches: workloads and pods in full (trimmed on receipt), metadata
//! of the rest, only in the namespaces of environments. Nothing here writes or decides.

mod index;
mod watches;

pub use index::{Index, Observed};
pub use watches::{Depth, Watch, Watches};
