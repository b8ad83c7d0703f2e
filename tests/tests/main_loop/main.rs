//! The main loop, end to end, on a real API server: what faults change (nothing), and what it takes to delete.
//!
//! `lapdev` and `lapdev-kube-manager` run as the processes that users run, the agent under its chart's rules; GitHub is
//! the double. Each test has a theatre of its own, two at a time.

mod boutique;
mod config;
mod difference;
mod evidence;
mod faults;
mod late;
mod looks;
mod loss;
mod mass;
mod occupied;
mod play;
mod scenario;
