//! lapdev
fn main() {}
