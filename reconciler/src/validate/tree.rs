//! The whole way from a tree of files to everything that is wrong in it: read, load, validate, render, check.

use super::{check_objects, objects, validate};
use crate::git::BaseError;
use crate::load::{Config, Diagnostic, Placed, Scope, files_under, load};
use lapdev_api::{
    kinds::{AppCatalog, Source},
    name::CatalogName,
    words::error_chain,
};
use lapdev_kustomize::{FileKind, FileSystem, Object, Options, Problem, Remotes, Renderer, TreePath};
use std::{collections::BTreeMap, io};

/// What a tree declares, and all that is wrong in it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What it declares. Partial when there are diagnostics.
    pub config: Config,
    /// The objects of each catalog whose source is in this tree and renders.
    pub rendered: BTreeMap<CatalogName, Vec<Object>>,
    /// Catalogs whose source is in another repository, so that their objects could not be looked at here.
    pub elsewhere: Vec<CatalogName>,
    /// Everything that is wrong, sorted by place. Only when it is empty may the absence of a kind count as evidence.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks what is declared below `path`, `.` being the whole tree. Sources of catalogs are looked for from the tree's
/// root, and the remote bases that they name by `remotes`.
///
/// # Errors
/// When the tree itself or a remote base cannot be read: then nothing is known.
pub fn check_tree(fs: &dyn FileSystem, path: &TreePath, remotes: &dyn Remotes) -> io::Result<Report> {
    let read = files_under(fs, path)?;
    let scope = if path.as_str().is_empty() { Scope::Shared } else { Scope::Own };
    let loaded = load(&read.files, scope);
    let mut report = Report { config: loaded.config, ..Report::default() };
    report.diagnostics.extend(read.errors.into_iter().chain(loaded.errors));
    report.diagnostics.extend(validate(&report.config));
    for catalog in report.config.catalogs.values() {
        match &catalog.source {
            Source::Path { path } => match render(fs, catalog, path, remotes)? {
                Ok(rendered) => {
                    report.diagnostics.extend(check_objects(&report.config, catalog, &rendered));
                    report.rendered.insert(catalog.name.clone(), rendered);
                }
                Err(diagnostic) => report.diagnostics.push(diagnostic),
            },
            Source::Repository { .. } => report.elsewhere.push(catalog.name.clone()),
        }
    }
    report.diagnostics.sort();
    report.diagnostics.dedup();
    Ok(report)
}

fn render(
    fs: &dyn FileSystem,
    catalog: &Placed<AppCatalog>,
    path: &str,
    remotes: &dyn Remotes,
) -> io::Result<Result<Vec<Object>, Diagnostic>> {
    let here =
        |message: String, expected: &str| Ok(Err(catalog.places.diagnostic("spec.source.path", message, expected)));
    let found = match TreePath::parse(path) {
        Some(path) => fs.find(&path)?,
        None => None,
    };
    let Some(folder) = found.filter(|found| found.kind == FileKind::Directory) else {
        return here(
            format!("there is no folder `{path}` in this tree"),
            "expected a folder with a kustomization or plain manifests",
        );
    };
    let renderer = Renderer::new(fs, Options::default()).with_remotes(remotes);
    match renderer.render_source(&folder.path) {
        Ok(rendered) if rendered.is_empty() => {
            here(format!("`{path}` holds no objects"), "expected at least one Kubernetes object")
        }
        Ok(rendered) => Ok(Ok(rendered)),
        Err(error) if is_passing(error.problem()) => Err(io::Error::other(error)),
        Err(error) => {
            let place = error.place();
            let field = if place.field.is_empty() { String::new() } else { format!("{}: ", place.field) };
            let expected = format!("catalog `{}` needs it to render", catalog.name);
            let message = format!("{field}{}", error_chain(error.problem()));
            Ok(Err(Diagnostic::new(objects::path(catalog, place), objects::position(place), message, expected)))
        }
    }
}

/// Whether the same tree may render in a moment: a disk or another server failed.
pub(crate) fn is_passing(problem: &Problem) -> bool {
    match problem {
        Problem::Read(_) => true,
        Problem::Remote(_, source) => !source.downcast_ref::<BaseError>().is_some_and(BaseError::is_refusal),
        _ => false,
    }
}
