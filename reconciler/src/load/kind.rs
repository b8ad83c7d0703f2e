//! The envelope of every kind: `apiVersion`, `kind`, `metadata`, `spec`; and which documents are ours at all.

use super::{
    catalog, cluster,
    config::Places,
    diagnostic::Diagnostic,
    environment,
    fields::{Fields, Reader},
    node::Node,
    scalars::{self, map, quoted, text},
};
use lapdev_api::{
    API_VERSION,
    kinds::{AppCatalog, Cluster, Environment},
    name::NameError,
    words::nearest,
};
use std::{collections::BTreeMap, str::FromStr};

const KINDS: [&str; 3] = ["Cluster", "AppCatalog", "Environment"];
const GROUP: &str = "lapdev.dev";

/// What is loaded of a folder that documents of others share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The folder is lapdev's own: a document of another `apiVersion`, or of none, is an error.
    Own,
    /// Kustomizations and manifests lie beside our kinds, because the whole repository is read: documents of others are
    /// left out, unless they look like one of ours with a slip in it.
    Shared,
}

/// `metadata` of a kind.
#[derive(Debug)]
pub(super) struct Metadata<N> {
    pub name: N,
    pub labels: BTreeMap<String, String>,
}

/// One decoded document.
pub(super) enum Declared {
    Cluster(Cluster),
    Catalog(AppCatalog),
    Environment(Environment),
}

/// Whether a document is for us to read.
pub(super) fn is_ours(document: &Node, scope: Scope) -> bool {
    if scope == Scope::Own {
        return true;
    }
    let field = |key| document.get(key).and_then(|entry| entry.value.as_str());
    match field("apiVersion") {
        Some(version) => group(version) == GROUP || nearest(version, [API_VERSION]).is_some(),
        // Without an `apiVersion` it is nobody's object; a kind of ours says whose it should have been.
        None => field("kind").is_some_and(|kind| KINDS.contains(&kind)),
    }
}

fn group(version: &str) -> &str {
    version.split('/').next().unwrap_or_default()
}

/// Kind and name that a document declares, as far as they can be told.
pub(super) fn declares(document: &Node) -> Option<(&'static str, String)> {
    let kind = document.get("kind")?.value.as_str()?;
    let name = document.get("metadata")?.value.get("name")?.value.as_str()?;
    Some((KINDS.into_iter().find(|known| *known == kind)?, name.to_owned()))
}

/// Decodes one document of ours.
pub(super) fn decode(path: &str, document: &Node) -> (Option<Declared>, Vec<Diagnostic>, Places) {
    let mut reader = Reader::new(path);
    let declared = envelope(&mut reader, document);
    let (errors, places) = reader.end();
    (declared, errors, places)
}

fn envelope(reader: &mut Reader, document: &Node) -> Option<Declared> {
    let mut fields = Fields::of(reader, document)?;
    let version = fields.required(reader, "apiVersion", API_VERSION, version);
    let kind = fields.required(reader, "kind", &KINDS.join(", "), kind);
    // A document of others may hold anything: what else is wrong in it would only confuse.
    let (kind, ()) = kind.zip(version)?;
    let declared = match kind {
        "Cluster" => parts(reader, &mut fields, cluster::decode).map(Declared::Cluster),
        "AppCatalog" => parts(reader, &mut fields, catalog::decode).map(Declared::Catalog),
        _ => parts(reader, &mut fields, environment::decode).map(Declared::Environment),
    };
    fields.end(reader);
    declared
}

fn version(reader: &mut Reader, node: &Node) -> Option<()> {
    let version = text(reader, node)?;
    if version == API_VERSION {
        return Some(());
    }
    let (message, expected) = match group(&version) == GROUP || nearest(&version, [API_VERSION]).is_some() {
        true => (
            format!("{} is not an apiVersion that this version reads", quoted(&version)),
            format!("did you mean `{API_VERSION}`?"),
        ),
        false => (
            format!("{} is not an apiVersion of lapdev's", quoted(&version)),
            format!("expected `{API_VERSION}`; keep other objects outside of the configured path"),
        ),
    };
    reader.error(node.at, message, expected)
}

fn kind(reader: &mut Reader, node: &Node) -> Option<&'static str> {
    let kind = text(reader, node)?;
    if let Some(known) = KINDS.iter().find(|known| **known == kind) {
        return Some(known);
    }
    let expected = match nearest(&kind, KINDS) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("expected {}", KINDS.join(", ")),
    };
    reader.error(node.at, format!("{} is not a kind of lapdev's", quoted(&kind)), expected)
}

fn parts<N: FromStr<Err = NameError>, T>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    decode: impl FnOnce(&mut Reader, Option<Metadata<N>>, &Node) -> Option<T>,
) -> Option<T> {
    let metadata = fields.required(reader, "metadata", "a mapping with `name`", metadata);
    // With illegal metadata the spec is still read, for its own errors.
    fields.required(reader, "spec", "a mapping", |reader, node| decode(reader, metadata, node))
}

fn metadata<N: FromStr<Err = NameError>>(reader: &mut Reader, node: &Node) -> Option<Metadata<N>> {
    let mut fields = Fields::of(reader, node)?;
    let name = fields.required(reader, "name", "a name", scalars::name);
    let labels = fields.or_default(reader, "labels", map(text));
    fields.end(reader);
    Some(Metadata { name: name?, labels: labels? })
}
