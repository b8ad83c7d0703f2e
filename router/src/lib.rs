//! The router: decides for each request which version of a service answers it.
//!
//! Two replicas run in each base's namespace. They watch that namespace's EndpointSlices and the ConfigMap
//! `lapdev-routes`, and write nothing to the API server.
//!
//! The way of a request: [`accept`] [`listen`]s, and hands its connection to a [`worker`], a thread which serves it to its end. There
//! [`connection`] finds out by [`sniff`] what it speaks: [`h1`] and [`h2`] read requests, anything else is joined to the
//! baseline by [`tcp`]. [`routing`] takes a request's key to the version that the [`table`] gives, holds it while that has
//! no endpoint, has [`balance`] pick one, and counts it. The control side ([`watch`], [`admin`], [`count`], [`probe`])
//! runs on a thread of its own. Every bound is in [`limits`].

pub mod accept;
pub mod admin;
pub mod balance;
pub mod buffer;
pub mod connection;
pub mod count;
pub mod drain;
pub mod h1;
pub mod h2;
pub mod idle;
pub mod limits;
pub mod listen;
pub mod probe;
pub mod proxy;
pub mod reply;
pub mod routing;
pub mod run;
pub mod settings;
pub mod sniff;
pub mod socket;
pub mod table;
pub mod tcp;
pub mod watch;
pub mod worker;
