//! Files to kinds: the first step of the pipeline, pure. All errors of all files come out of one run, each with its
//! place; what can be read is read all the same, so that `validate` has something to point into.
//!
//! Reading files through a file system is in [`files_under`]; references between kinds are `validate`'s.

mod branch_file;
mod catalog;
mod cluster;
mod config;
mod diagnostic;
mod document;
mod environment;
mod fields;
mod files;
mod globs;
mod kind;
mod node;
mod scalars;
mod yaml;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use branch_file::{BRANCH_FILE, BranchFile, branch_file};
pub use config::{Config, Loaded, Placed, Places};
pub use diagnostic::{Diagnostic, Position};
pub use document::MAX_FILE_BYTES;
pub use files::{Files, MAX_FILES, MAX_TOTAL_BYTES, SourceFile, files_under};
pub use globs::Globs;
pub use kind::Scope;

use kind::Declared;
use std::collections::{BTreeMap, btree_map::Entry};

/// Reads every document of every file. Of two declarations of the same name the first counts, and the second is an
/// error that names both places.
#[must_use]
pub fn load(files: &[SourceFile], scope: Scope) -> Loaded {
    let mut loaded = Loaded::default();
    for file in files {
        match &file.content {
            Some(content) => load_file(&mut loaded, &file.path, content, scope),
            None if scope == Scope::Own => loaded.errors.push(document::too_large(&file.path)),
            // No file of ours is as large as one that the tree refuses to read.
            None => {}
        }
    }
    loaded.errors.sort();
    loaded.errors.dedup();
    loaded
}

fn load_file(loaded: &mut Loaded, path: &str, content: &[u8], scope: Scope) {
    if scope == Scope::Shared && !may_be_ours(content) {
        return;
    }
    let (documents, errors) = document::read(path, content);
    let ours: Vec<_> = documents.iter().filter(|document| kind::is_ours(document, scope)).collect();
    // A file of others that does not parse is the renderer's to complain about, if anything reads it.
    if scope == Scope::Own || !ours.is_empty() || mentions(content, "lapdev.dev/") {
        loaded.errors.extend(errors);
    }
    for document in ours {
        let (declared, errors, mut places) = kind::decode(path, document);
        places.fields.insert(String::new(), document.at);
        loaded.errors.extend(errors);
        match declared {
            Some(declared) => loaded.errors.extend(add(&mut loaded.config, declared, places)),
            None => loaded.config.unreadable.extend(kind::declares(document)),
        }
    }
}

/// A quick look, so that a repository's other files are not even parsed: templates and the like need not be YAML.
fn may_be_ours(content: &[u8]) -> bool {
    ["lapdev", "kind: Cluster", "kind: AppCatalog", "kind: Environment"].iter().any(|text| mentions(content, text))
}

/// Whether a text is in it, in UTF-16 as well: what an editor saved so is not gone, but has an error to be told.
fn mentions(content: &[u8], text: &str) -> bool {
    let is_in = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
    is_in(content) || content.contains(&0) && is_in(&content.iter().copied().filter(|b| *b != 0).collect::<Vec<u8>>())
}

fn add(config: &mut Config, declared: Declared, places: Places) -> Option<Diagnostic> {
    match declared {
        Declared::Cluster(value) => {
            insert(&mut config.clusters, "Cluster", value.name.clone(), Placed { value, places })
        }
        Declared::Catalog(value) => {
            insert(&mut config.catalogs, "AppCatalog", value.name.clone(), Placed { value, places })
        }
        Declared::Environment(value) => {
            insert(&mut config.environments, "Environment", value.name.clone(), Placed { value, places })
        }
    }
}

fn insert<N: Ord + std::fmt::Display, T>(
    kinds: &mut BTreeMap<N, Placed<T>>,
    kind: &str,
    name: N,
    placed: Placed<T>,
) -> Option<Diagnostic> {
    match kinds.entry(name) {
        Entry::Vacant(free) => {
            free.insert(placed);
            None
        }
        Entry::Occupied(taken) => {
            let first = &taken.get().places;
            let message = format!("the {kind} {} is declared twice", scalars::quoted(&taken.key().to_string()));
            let expected =
                format!("expected another name; it is already at {}:{}", first.path, first.of("metadata.name"));
            Some(placed.places.diagnostic("metadata.name", message, expected))
        }
    }
}
