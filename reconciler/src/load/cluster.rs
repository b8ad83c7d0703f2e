//! Decodes `spec` of a `Cluster`. A field that could not be read has its default: the error is told, and `validate` can go
//! on.

use super::{
    fields::{Fields, Reader},
    kind::Metadata,
    node::Node,
    scalars::{boolean, is_subdomain, list, name, quoted, text},
};
use lapdev_api::{
    kinds::{Cluster, Permissions},
    name::ClusterName,
};

const DEFAULT_PREFIX: &str = "lapdev-env-";
/// Leaves a name of 23 characters (a derived environment's) room in a namespace's 63.
const MAX_PREFIX: usize = 40;

pub(super) fn decode(reader: &mut Reader, metadata: Option<Metadata<ClusterName>>, spec: &Node) -> Option<Cluster> {
    let mut fields = Fields::of(reader, spec)?;
    let permissions = fields.or_default(reader, "permissions", permissions);
    let source_namespaces = fields.or_default(reader, "sourceNamespaces", list(name));
    let namespace_prefix = fields.optional(reader, "namespacePrefix", prefix);
    let preview_domain = fields.optional(reader, "previewDomain", domain);
    fields.end(reader);
    let metadata = metadata?;
    Some(Cluster {
        name: metadata.name,
        labels: metadata.labels,
        permissions: permissions.unwrap_or_default(),
        source_namespaces: source_namespaces.unwrap_or_default(),
        namespace_prefix: namespace_prefix.flatten().unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
        preview_domain: preview_domain.flatten(),
    })
}

fn permissions(reader: &mut Reader, node: &Node) -> Option<Permissions> {
    let mut fields = Fields::of(reader, node)?;
    let personal = fields.or_default(reader, "personal", boolean);
    let shared = fields.or_default(reader, "shared", boolean);
    let intercept = fields.or_default(reader, "intercept", boolean);
    fields.end(reader);
    Some(Permissions { personal: personal?, shared: shared?, intercept: intercept? })
}

/// Never empty: it is what keeps an agent to namespaces of its own.
fn prefix(reader: &mut Reader, node: &Node) -> Option<String> {
    let prefix = text(reader, node)?;
    if prefix.len() <= MAX_PREFIX && lapdev_api::name::is_dns_label(&format!("{prefix}x")) && !prefix.is_empty() {
        return Some(prefix);
    }
    let expected = format!("expected 1 to {MAX_PREFIX} of a-z, 0-9 and '-', starting with a letter or digit");
    reader.error(node.at, format!("{} is not a legal namespace prefix", quoted(&prefix)), expected)
}

fn domain(reader: &mut Reader, node: &Node) -> Option<String> {
    let domain = text(reader, node)?;
    if is_subdomain(&domain) {
        return Some(domain);
    }
    let message = format!("{} is not a domain", quoted(&domain));
    reader.error(node.at, message, "expected a DNS name in lower case, such as preview.example.com")
}
