//! Decodes `spec` of an `AppCatalog`. What it can do without has its default where it could not be read.

use super::{
    fields::{Fields, Reader},
    kind::Metadata,
    node::Node,
    scalars::{boolean, choice, count, duration, filled, folder, glob, list, map, name, object_name, port, quoted},
};
use lapdev_api::{
    kinds::{
        Access, AppCatalog, BranchEnvironments, Forks, ImageRule, Preview, PreviewPath, PullRequestRule, Source, Sync,
        Trigger, TriggerOn, WorkloadRule,
    },
    name::CatalogName,
};

const DEFAULT_LIMIT: u32 = 50;

pub(super) fn decode(reader: &mut Reader, metadata: Option<Metadata<CatalogName>>, spec: &Node) -> Option<AppCatalog> {
    let mut fields = Fields::of(reader, spec)?;
    let source = fields.required(
        reader,
        "source",
        "where the objects come from: `path`, or `repository`, `path` and `ref`",
        source,
    );
    let sync = fields.or_default(reader, "sync", choice(&[("auto", Sync::Auto), ("manual", Sync::Manual)]));
    let workloads = fields.or_default(reader, "workloads", list(workload));
    let previews = fields.or_default(reader, "previews", list(preview));
    let branch_environments = fields.optional(reader, "branchEnvironments", branch_environments);
    fields.end(reader);
    let metadata = metadata?;
    Some(AppCatalog {
        name: metadata.name,
        source: source?,
        sync: sync.unwrap_or_default(),
        workloads: workloads.unwrap_or_default(),
        previews: previews.unwrap_or_default(),
        branch_environments: branch_environments.flatten(),
    })
}

fn source(reader: &mut Reader, node: &Node) -> Option<Source> {
    let mut fields = Fields::of(reader, node)?;
    // The later source that a cluster's agent reads live; `namespace` and `workloads` belong to it.
    if let Some(cluster) = fields.entry("cluster") {
        let message = "`source.cluster` is not supported by this version";
        return reader.error(cluster.at, message, "expected `path`, or `repository`, `path` and `ref`");
    }
    let path = fields.required(reader, "path", "the folder of a kustomization or of plain manifests", folder);
    let source = if fields.entry("repository").is_some() {
        let repository = fields.required(reader, "repository", "owner/name", name);
        let branch = fields.required(reader, "ref", "the branch that environments follow", name);
        repository.zip(branch).zip(path).map(|((repository, branch), path)| Source::Repository {
            repository,
            path,
            branch,
        })
    } else {
        let alone = fields.refused(
            reader,
            "ref",
            "`ref` without `repository`",
            "expected `repository` beside it; a path in the config repository follows its configured branch",
        );
        path.zip(alone).map(|(path, ())| Source::Path { path })
    };
    fields.end(reader);
    source
}

fn workload(reader: &mut Reader, node: &Node) -> Option<WorkloadRule> {
    let mut fields = Fields::of(reader, node)?;
    let workload = fields.required(reader, "name", "the name of a Deployment or StatefulSet", object_name);
    let repository = fields.required(reader, "repository", "owner/name", name);
    let paths = fields.or_default(reader, "paths", list(glob));
    let image = fields.optional(reader, "image", image);
    fields.end(reader);
    Some(WorkloadRule { name: workload?, repository: repository?, paths: paths?, image: image? })
}

fn image(reader: &mut Reader, node: &Node) -> Option<ImageRule> {
    let mut fields = Fields::of(reader, node)?;
    let container = fields.required(reader, "container", "the container's name", object_name);
    let image = fields.required(reader, "name", "the image without tag", image_name);
    let tag = fields.required(reader, "tag", "a tag such as \"{sha}\"", tag);
    fields.end(reader);
    Some(ImageRule { container: container?, name: image?, tag: tag? })
}

fn image_name(reader: &mut Reader, node: &Node) -> Option<String> {
    let image = filled(reader, node)?;
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.contains([':', '@']) || image.contains(char::is_whitespace) {
        true => reader.error(
            node.at,
            format!("{} carries a tag or digest", quoted(&image)),
            "expected the image's name alone, such as ghcr.io/acme/web; the tag has a field of its own",
        ),
        false => Some(image),
    }
}

/// A tag with placeholders; what remains when they are filled in must be a legal tag.
fn tag(reader: &mut Reader, node: &Node) -> Option<String> {
    let tag = filled(reader, node)?;
    let sample = tag.replace("{sha}", "0").replace("{pathSha}", "0");
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match sample.starts_with(['.', '-']) || !sample.chars().all(legal) || sample.len() > 80 {
        true => reader.error(
            node.at,
            format!("{} is not a legal tag", quoted(&tag)),
            "expected letters, digits, '.', '_', '-' and the placeholders {sha} and {pathSha}",
        ),
        false => Some(tag),
    }
}

fn preview(reader: &mut Reader, node: &Node) -> Option<Preview> {
    let mut fields = Fields::of(reader, node)?;
    let service = fields.required(reader, "service", "the name of a Service", object_name);
    let port = fields.required(reader, "port", "the Service's port, by number or name", port);
    let words = choice(&[("organization", Access::Organization), ("public", Access::Public)]);
    let access = fields.or_default(reader, "access", words);
    let paths = fields.or_default(reader, "paths", map(preview_path));
    let absolute = fields.entry("paths").is_none_or(|entry| paths_are_absolute(reader, &entry.value));
    fields.end(reader);
    let paths = paths.filter(|_| absolute);
    Some(Preview { service: service?, port: port?, access: access?, paths: paths? })
}

fn paths_are_absolute(reader: &mut Reader, node: &Node) -> bool {
    let super::node::Kind::Mapping(entries) = &node.kind else {
        return false;
    };
    let wrong: Vec<_> = entries.iter().filter(|e| !e.key.starts_with('/') || e.key == "/").collect();
    for entry in &wrong {
        let message = format!("{} is not a path below the preview", quoted(&entry.key));
        reader.error::<()>(entry.at, message, "expected a path such as /api; `/` itself is the preview's own service");
    }
    wrong.is_empty()
}

fn preview_path(reader: &mut Reader, node: &Node) -> Option<PreviewPath> {
    let mut fields = Fields::of(reader, node)?;
    let service = fields.required(reader, "service", "the name of a Service", object_name);
    let port = fields.required(reader, "port", "the Service's port, by number or name", port);
    fields.end(reader);
    Some(PreviewPath { service: service?, port: port? })
}

fn branch_environments(reader: &mut Reader, node: &Node) -> Option<BranchEnvironments> {
    let mut fields = Fields::of(reader, node)?;
    let base = fields.required(reader, "base", "the name of a Shared environment of this catalog", name);
    let on = fields.required(
        reader,
        "on",
        "a list of triggers: `repository` with `pullRequests` or `branches`",
        list(trigger),
    );
    let ttl = fields.optional(reader, "ttl", duration);
    let sleep_after = fields.optional(reader, "sleepAfter", duration);
    let limit = fields.optional(reader, "limit", count);
    fields.end(reader);
    Some(BranchEnvironments {
        base: base?,
        on: on?,
        ttl: ttl.flatten(),
        sleep_after: sleep_after.flatten(),
        limit: limit.flatten().unwrap_or(DEFAULT_LIMIT),
    })
}

fn trigger(reader: &mut Reader, node: &Node) -> Option<Trigger> {
    let mut fields = Fields::of(reader, node)?;
    let at = fields.at();
    let repository = fields.required(reader, "repository", "owner/name", name);
    let pull_requests = fields.optional(reader, "pullRequests", pull_requests);
    let branches = fields.optional(reader, "branches", list(glob));
    let clean = fields.end(reader);
    let on = match (pull_requests?, branches?) {
        (Some(rule), None) => TriggerOn::PullRequests(rule),
        (None, Some(globs)) if !globs.is_empty() => TriggerOn::Branches(globs),
        (None, Some(_)) => {
            return reader.error(at, "`branches` is empty", "expected at least one glob, such as feature/**");
        }
        (Some(_), Some(_)) => {
            let expected = "expected one of them; write a second trigger for the other";
            return reader.error(at, "a trigger has both `pullRequests` and `branches`", expected);
        }
        // The misspelt field says enough.
        (None, None) if !clean => return None,
        (None, None) => {
            let expected = "expected `pullRequests: {}` or `branches: [\"feature/**\"]`";
            return reader.error(at, "a trigger has neither `pullRequests` nor `branches`", expected);
        }
    };
    Some(Trigger { repository: repository?, on })
}

fn pull_requests(reader: &mut Reader, node: &Node) -> Option<PullRequestRule> {
    let mut fields = Fields::of(reader, node)?;
    let labels = fields.or_default(reader, "labels", list(filled));
    let drafts = fields.or_default(reader, "drafts", boolean);
    let words = choice(&[("approval", Forks::Approval), ("allow", Forks::Allow), ("deny", Forks::Deny)]);
    let forks = fields.or_default(reader, "forks", words);
    fields.end(reader);
    Some(PullRequestRule { labels: labels?, drafts: drafts?, forks: forks? })
}
