//! `.lapdev.yaml`, which a branch of an app repository may carry.

use super::{
    config::Places,
    diagnostic::Diagnostic,
    document,
    fields::{Fields, Reader},
    node::Node,
    scalars::{duration, list, map, object_name, text},
};
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// Where it stands in an app repository.
pub const BRANCH_FILE: &str = ".lapdev.yaml";

/// What a branch asks for of its own environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BranchFile {
    /// Workloads to run beside those that the branch changes.
    pub workloads: Vec<String>,
    /// Variables for every workload of the branch.
    pub env: BTreeMap<String, String>,
    /// Another life than the catalog's.
    pub ttl: Option<SignedDuration>,
    /// Where its fields stand.
    pub places: Places,
}

/// Reads the file. An empty one asks for nothing.
///
/// # Errors
/// Everything that is wrong in it.
pub fn branch_file(path: &str, bytes: &[u8]) -> Result<BranchFile, Vec<Diagnostic>> {
    let (documents, mut errors) = document::read(path, bytes);
    if let Some(extra) = documents.get(1) {
        errors.push(Diagnostic::new(path, extra.at, "a second document", "expected one document"));
    }
    let mut reader = Reader::new(path);
    let file = match documents.first() {
        Some(node) => decode(&mut reader, node),
        None => Some(BranchFile::default()),
    };
    let (wrong, places) = reader.end();
    errors.extend(wrong);
    match file {
        Some(file) if errors.is_empty() => Ok(BranchFile { places, ..file }),
        _ => Err(errors),
    }
}

fn decode(reader: &mut Reader, node: &Node) -> Option<BranchFile> {
    let mut fields = Fields::of(reader, node)?;
    let workloads = fields.or_default(reader, "workloads", list(object_name));
    let env = fields.or_default(reader, "env", map(text));
    let ttl = fields.optional(reader, "ttl", duration);
    fields.end(reader);
    Some(BranchFile { workloads: workloads?, env: env?, ttl: ttl?, places: Places::default() })
}
