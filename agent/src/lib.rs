//! `lapdev-kube-manager`, the agent in a cluster: it pulls the desired state of its environments through the tunnel,
//! applies it, prunes what went, watches what came of it, and goes on alone while the control plane is away.
//!
//! It never accepts a connection from outside the cluster, writes only namespaces that carry lapdev's label, and
//! deletes only on a tombstone, an ended ttl, or for a bundle that no longer holds an object of its own set.

pub mod apiserver;
pub mod apply;
pub mod applyset;
pub mod core;
pub mod drift;
#[cfg(test)]
mod fixture;
pub mod health;
pub mod lease;
pub mod object;
pub mod observe;
pub mod policy;
pub mod prune;
pub mod registry;
pub mod routes;
pub mod run;
pub mod settings;
pub mod tunnel;
pub mod watchdog;
