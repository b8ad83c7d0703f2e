//! The fuzz targets' checks over their kept seeds, without a fuzzer.

use std::path::Path;

#[allow(dead_code)]
#[path = "../checks/mod.rs"]
mod checks;

/// Every seed of a target; where there is none, the folder is not where it should be.
fn each_seed(target: &str, holds: fn(&[u8])) -> std::io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for seed in std::fs::read_dir(seeds)? {
        holds(&std::fs::read(seed?.path())?);
        count += 1;
    }
    assert!(count > 0, "no seed of {target}");
    Ok(())
}

#[test]
fn what_is_written_reads_as_the_same_again() -> std::io::Result<()> {
    each_seed("reader", checks::reader::holds)
}

#[test]
fn a_patch_that_says_nothing_new_changes_nothing() -> std::io::Result<()> {
    each_seed("merge", checks::merge::holds)
}

#[test]
fn many_operations_do_what_one_by_one_does() -> std::io::Result<()> {
    each_seed("json_patch", checks::json_patch::holds)
}

#[test]
fn a_value_copied_onto_itself_changes_nothing() -> std::io::Result<()> {
    each_seed("paths", checks::paths::holds)
}

#[test]
fn a_rendered_tree_renders_to_itself() -> std::io::Result<()> {
    each_seed("tree", checks::tree::holds)
}
