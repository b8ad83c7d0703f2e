//! The data plane on loopback: the real proxy in this process, routed by snapshots of the real index, between clients and
//! backends that speak byte by byte where that matters.

mod backend;
mod balanced;
mod draining;
mod families;
mod ground;
mod held;
mod hostile;
mod http1;
mod http2;
mod raw;
mod talk;
mod upgraded;
