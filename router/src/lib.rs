//! The router: decides for each request which version of a service answers it.
//!
//! Two replicas run in each base's namespace. They watch that namespace's EndpointSlices and the ConfigMap
//! `lapdev-routes`, and write nothing.

pub mod admin;
pub mod count;
pub mod probe;
pub mod table;
pub mod watch;
