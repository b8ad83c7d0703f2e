//! `lapdev-kube-manager`, the agent in a cluster: it pulls the desired state of its environments through the tunnel,
//! applies it, prunes what went, watches what came of it, and goes on alone while the control plane is away.
//!
//! It never accepts a connection from outside the cluster, writes only namespaces that carry lapdev's label, and
//! deletes only on a tombstone, an ended ttl, or for a bundle that no longer holds an object of its own set.

pub mod apiserver;
pub mod apply;
pub mod applyset;
pub mod health;
pub mod object;
pub mod tunnel;
