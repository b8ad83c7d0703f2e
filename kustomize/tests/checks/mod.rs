//! What must hold for any bytes that a stranger writes: the bodies of the fuzz targets, which the
//! ordinary tests run over the kept seeds. They see only the crate's public face, and hold no seeds.

pub mod json_patch;
pub mod merge;
pub mod paths;
pub mod reader;
pub mod tree;

use lapdev_kustomize::{Error, Limits, MemoryFileSystem, Object, Options, TreePath, load_manifests, render, to_yaml};

/// Small enough that no input of a few kilobytes may take noticeable time or memory.
fn options() -> Options {
    let limits = Limits {
        file_bytes: 64 << 10,
        nodes: 10_000,
        nesting: 64,
        bases: 8,
        kustomizations: 40,
        objects: 500,
        total: 100_000,
        ..Limits::default()
    };
    Options { limits, ..Options::default() }
}

/// What a tree renders to. Twice the same, and an error is one line of bounded length.
fn rendered(files: &[(&str, &str)]) -> Option<Vec<Object>> {
    let fs: MemoryFileSystem = files.iter().copied().collect();
    let once = || render(&fs, &TreePath::root(), &options());
    let (first, second) = (once(), once());
    match (&first, &second) {
        (Ok(first), Ok(second)) => assert_eq!(to_yaml(first), to_yaml(second), "a rendering is deterministic"),
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string(), "and so is its error"),
        _ => panic!("rendered once and failed once"),
    }
    first.map_err(|error| check(&error)).ok()
}

/// The objects of one file.
fn loaded(text: &[u8]) -> Option<Vec<Object>> {
    let fs = MemoryFileSystem::new().with("a.yaml", text);
    load_manifests(&fs, &TreePath::root(), &options()).map_err(|error| check(&error)).ok()
}

fn check(error: &Error) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control) && message.len() < 10_000, "an error is one line: {message:?}");
}

/// The parts of an input, divided by lines of `===`, padded with empty ones.
fn parts<const N: usize>(text: &str) -> [&str; N] {
    let mut parts = text.splitn(N, "\n===\n");
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
