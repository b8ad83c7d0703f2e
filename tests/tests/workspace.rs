//! Facts about the repository itself: which crate may know which, what the examples and charts yield.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the workspace")
}

/// Each crate, and the crates of this workspace that its shipped code depends on; development dependencies are free.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let ours = |package: &Value| package["name"].as_str().unwrap_or_default().trim_start_matches("lapdev-").to_owned();
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists packages")?;
    let names: BTreeSet<_> = packages.iter().map(ours).collect();
    let of = |package: &Value| {
        let shipped = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"] != "dev");
        shipped.map(ours).filter(|name| names.contains(name)).collect()
    };
    Ok(packages.iter().map(|package| (ours(package), of(package))).collect())
}

#[test]
fn crates_depend_only_in_the_directions_that_the_design_draws() -> Result {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("api", &[][..]),
        ("kustomize", &[]),
        ("tunnel", &[]),
        ("store", &["api"]),
        ("forge", &["api"]),
        ("agent", &["api", "tunnel"]),
        ("webhook", &["api", "store"]),
        ("reconciler", &["api", "forge", "kustomize", "store"]),
        ("hub", &["api", "store", "tunnel"]),
        ("cli", &["api", "forge", "hub", "kustomize", "reconciler", "store", "webhook"]),
        ("shop-service", &[]),
    ]);
    let actual = dependencies()?;
    for (name, dependencies) in &actual {
        assert!(!dependencies.contains("tests"), "{name} depends on the tests");
        if name != "tests" {
            let allowed =
                allowed.get(name.as_str()).ok_or(format!("{name} is a new crate: say here what it may know"))?;
            let allowed: BTreeSet<_> = allowed.iter().map(ToString::to_string).collect();
            let beyond: Vec<_> = dependencies.difference(&allowed).collect();
            assert!(beyond.is_empty(), "{name} must not depend on {beyond:?}");
        }
    }
    assert_eq!(actual.len(), allowed.len() + 1, "a crate that this test names is gone");
    Ok(())
}
