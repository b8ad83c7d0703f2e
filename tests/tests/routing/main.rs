//! Routing with real pods: the shop's five services behind real routers on a real node, asked by a client in the cluster.
//!
//! All tests share one house (`house.rs`), one after the other; each first brings about what it needs. NetworkPolicies are
//! not proved here: the node's network enforces none. `LAPDEV_TESTS_SKIP_NODES=1` leaves all of them out.

mod expected;
mod house;
mod ingress;
mod late;
mod matrix;
mod observed;
mod port;
mod soak;
mod timeline;
mod upgrade;
