//! The client inside the cluster: asks the shop's services as other pods do, since nobody outside can reach a pod.
//!
//! It runs in a pod of its own (`tests/images/visitor.rs`) and is spoken to through `kubectl exec`: JSON lines in, JSON
//! lines out. What it asks and what it reports are the types here, which tests use too. It judges nothing.

mod ask;
mod connection;
mod message;
mod soak;
mod socket;

pub use ask::answer_questions;
pub use message::{Protocol, Question, Reply, What, versions};
pub use soak::{Plan, Record, soak};
