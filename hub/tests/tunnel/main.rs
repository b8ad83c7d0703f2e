//! Hub and agent against each other: real sockets, real TLS, a real store, real HTTP applications. Only the cluster
//! behind the agent's `Cluster` trait is a list in memory.

mod app;
mod browser;
mod gateway;
mod hostile;
mod lab;
mod limits;
mod relay;
mod session;
mod streams;
mod sync;
mod trace;
