//! A load client and the backend that it asks, both made to cost little, so that what lies between them is what is measured:
//! HTTP/1.1 on kept connections, h2 with prior knowledge, unary gRPC. Each request may carry a routing key, and each answer
//! is checked for the version that gave it. The binary `load` is the command line of it, and runs inside a pod as well.
//!
//! The wire formats here are only as complete as talking to a correct peer needs: what is not understood is an error, never
//! a guess.

mod ask;
mod cpu;
mod fields;
mod frame;
mod h1;
mod h2;
mod histogram;
mod huffman;
mod idle;
mod outcome;
mod plan;
mod run;
mod serve;
mod source;
mod tally;

pub use ask::{Ask, Carrier};
pub use cpu::cpu_time;
pub use idle::hold;
pub use outcome::Outcome;
pub use plan::{Amount, Plan, Protocol, VersionFrom};
pub use run::run;
pub use serve::serve;
