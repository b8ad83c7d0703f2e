//! `make bench`: the main loop's speed beside its floors, and the router's beside its peers.

pub mod main_loop;
pub mod router;
