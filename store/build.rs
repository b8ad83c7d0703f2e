//! Has the migrations embedded anew when one is added.

#[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
