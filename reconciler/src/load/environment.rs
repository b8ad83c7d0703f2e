//! Decodes `spec` of an `Environment`. What it can do without has its default where it could not be read.

use super::{
    fields::{Fields, Reader},
    kind::Metadata,
    node::{Kind, Node},
    scalars::{boolean, choice, count, duration, filled, list, map, name, object_name, text},
};
use lapdev_api::{
    kinds::{BranchSelector, Environment, EnvironmentType, Override, Placement},
    name::EnvironmentName,
};
use serde_json::Value;

const TYPES: &[(&str, EnvironmentType)] = &[
    ("Personal", EnvironmentType::Personal),
    ("Shared", EnvironmentType::Shared),
    ("Branch", EnvironmentType::Branch),
];

pub(super) fn decode(
    reader: &mut Reader,
    metadata: Option<Metadata<EnvironmentName>>,
    spec: &Node,
) -> Option<Environment> {
    let mut fields = Fields::of(reader, spec)?;
    let kind = fields.required(reader, "type", "Personal, Shared or Branch", choice(TYPES));
    let catalog = fields.required(reader, "catalog", "the name of an AppCatalog", name);
    let placement = match kind {
        Some(kind) => placement(reader, &mut fields, kind),
        None => {
            // Without a type none of these can be judged, but they are no unknown fields.
            for field in ["cluster", "owner", "base", "branch"] {
                fields.entry(field);
            }
            None
        }
    };
    let overrides = fields.or_default(reader, "overrides", list(change));
    let paused = fields.or_default(reader, "paused", boolean);
    let ttl = fields.optional(reader, "ttl", duration);
    fields.end(reader);
    let metadata = metadata?;
    Some(Environment {
        name: metadata.name,
        catalog: catalog?,
        placement: placement?,
        overrides: overrides.unwrap_or_default(),
        paused: paused.unwrap_or_default(),
        ttl: ttl.flatten(),
    })
}

fn placement(reader: &mut Reader, fields: &mut Fields<'_>, kind: EnvironmentType) -> Option<Placement> {
    const CLUSTER: &str = "the name of a Cluster";
    if kind == EnvironmentType::Branch {
        let in_base = fields.refused(
            reader,
            "cluster",
            "a Branch environment names a cluster",
            "expected none: it runs in its base's namespace; remove the field",
        );
        let owner = fields.optional(reader, "owner", filled);
        let base = fields.required(reader, "base", "the name of a Shared environment of the same catalog", name);
        let branch = fields.required(reader, "branch", "`repository` and `ref`", branch);
        in_base?;
        return Some(Placement::Branch { base: base?, branch: branch?, owner: owner? });
    }
    let message = format!("a {kind} environment has no base and no branch");
    let no_base = fields.refused(reader, "base", &message, "expected `type: Branch`, or no such field");
    let no_branch = fields.refused(reader, "branch", &message, "expected `type: Branch`, or no such field");
    let cluster = fields.required(reader, "cluster", CLUSTER, name);
    let owner = match kind {
        EnvironmentType::Personal => fields.required(reader, "owner", "whose it is", filled),
        _ => fields
            .refused(
                reader,
                "owner",
                "a Shared environment has no owner",
                "expected `type: Personal`, or no such field",
            )
            .map(|()| String::new()),
    };
    no_base.zip(no_branch)?;
    let (cluster, owner) = cluster.zip(owner)?;
    Some(match kind {
        EnvironmentType::Personal => Placement::Personal { cluster, owner },
        _ => Placement::Shared { cluster },
    })
}

fn branch(reader: &mut Reader, node: &Node) -> Option<BranchSelector> {
    let mut fields = Fields::of(reader, node)?;
    let repository = fields.required(reader, "repository", "owner/name", name);
    let branch = fields.required(reader, "ref", "the branch's name", name);
    fields.end(reader);
    Some(BranchSelector { repository: repository?, branch: branch? })
}

fn change(reader: &mut Reader, node: &Node) -> Option<Override> {
    let mut fields = Fields::of(reader, node)?;
    let workload = fields.required(reader, "workload", "the name of a Deployment or StatefulSet", object_name);
    let replicas = fields.optional(reader, "replicas", count);
    let image = fields.optional(reader, "image", filled);
    let env = fields.or_default(reader, "env", map(text));
    let patches = fields.or_default(reader, "patches", list(patch));
    fields.end(reader);
    Some(Override { workload: workload?, replicas: replicas?, image: image?, env: env?, patches: patches? })
}

fn patch(reader: &mut Reader, node: &Node) -> Option<Value> {
    match node.kind {
        Kind::Mapping(_) => Some(node.to_value()),
        _ => reader.wrong_type(node, "a strategic merge patch: a mapping with the fields to change"),
    }
}
