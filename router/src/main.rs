//! `lapdev-router`.
fn main() {}
