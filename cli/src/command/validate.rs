//! `lapdev validate`: every error of a config repository's folder in one run, each with its place. Exits 1 on any.

use crate::{
    args::ReportFormat,
    command::render::Fetch,
    exit::Failure,
    output::{data, json, message, plain},
};
use lapdev_kustomize::{DiskFileSystem, TreePath};
use lapdev_reconciler::{
    git::Pinned,
    validate::{Report, check_tree},
};
use std::path::Path;

/// The folder that lapdev reads unless told otherwise, as in lapdev.toml.
const USUAL_PATH: &str = "lapdev";

/// Runs it.
pub fn run(dir: &Path, path: Option<&str>, output: ReportFormat) -> Result<(), Failure> {
    let fs = DiskFileSystem::open(dir).map_err(|error| Failure::not_fine(format!("{}: {error}", dir.display())))?;
    let path = path.unwrap_or_else(|| if dir.join(USUAL_PATH).is_dir() { USUAL_PATH } else { "." });
    let tree_path =
        TreePath::parse(path).ok_or_else(|| Failure::not_fine(format!("{path} leads out of {}", dir.display())))?;
    if !dir.join(path).is_dir() {
        return Err(Failure::not_fine(format!("there is no folder {path} in {}", dir.display())));
    }
    let report = check_tree(&fs, &tree_path, &Pinned(&Fetch::default())).map_err(Failure::not_fine)?;
    print(&report, output)?;
    if report.diagnostics.is_empty() { Ok(()) } else { Err(Failure::NotFine(None)) }
}

fn print(report: &Report, output: ReportFormat) -> Result<(), Failure> {
    match output {
        ReportFormat::Json => json(&report.diagnostics)?,
        ReportFormat::Text => {
            let lines = report.diagnostics.iter().map(|diagnostic| plain(&diagnostic.to_string()) + "\n");
            data(&lines.collect::<String>())?;
        }
    }
    for catalog in &report.elsewhere {
        message(format_args!("catalog {catalog}: its source is in another repository; its objects were not looked at"));
    }
    let config = &report.config;
    message(format_args!(
        "{} clusters, {} catalogs, {} environments: {} errors",
        config.clusters.len(),
        config.catalogs.len(),
        config.environments.len(),
        report.diagnostics.len()
    ));
    Ok(())
}
