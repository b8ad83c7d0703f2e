//! Hostile input to the real proxy on loopback: the right status, bounded memory, and nobody else harmed meanwhile. A
//! program of its own, since it measures the memory of its process; tests that do run alone.

#[allow(dead_code)]
#[path = "../proxy/ground.rs"]
mod ground;
#[allow(dead_code)]
#[path = "../proxy/talk.rs"]
mod talk;

mod backend;
mod bodies;
mod frames;
mod heads;
mod http2;
mod memory;
mod slow;
mod witness;
