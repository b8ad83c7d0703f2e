//! Whole trees in, all messages out.

use super::*;
use crate::git::BaseError;
use crate::load::{Scope, SourceFile, load};
use lapdev_kustomize::{FileSystem, Found, MemoryFileSystem, RemoteError, Remotes, Repository, TreePath};
use std::io;

const CLUSTER: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: Cluster
metadata: {name: dev}
spec:
  permissions: {shared: true}
  sourceNamespaces: [lapdev-env-legacy]
  previewDomain: preview.example.com
";

const CATALOG: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: AppCatalog
metadata: {name: shop}
spec:
  source: {path: apps/shop}
  workloads:
    - {name: web, repository: acme/shop, image: {container: web, name: ghcr.io/acme/web, tag: \"{sha}\"}}
  previews:
    - {service: web, port: http, paths: {/api: {service: api, port: 8080}}}
  branchEnvironments:
    base: staging
    on:
      - {repository: acme/shop, pullRequests: {}}
";

const ENVIRONMENT: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: Environment
metadata: {name: staging}
spec:
  type: Shared
  catalog: shop
  cluster: dev
  overrides:
    - {workload: web, replicas: 2}
";

const OBJECTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: ghcr.io/acme/web}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: api}
spec: {template: {spec: {containers: [{name: api, image: ghcr.io/acme/api}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{name: grpc, port: 8080}]}
";

/// A valid tree; each test breaks it in its own way.
fn tree() -> MemoryFileSystem {
    MemoryFileSystem::new()
        .with("lapdev/cluster.yaml", CLUSTER)
        .with("lapdev/catalog.yaml", CATALOG)
        .with("lapdev/staging.yaml", ENVIRONMENT)
        .with("apps/shop/objects.yaml", OBJECTS)
}

fn report(fs: &MemoryFileSystem) -> Report {
    check_tree(fs, &TreePath::parse("lapdev").expect("inside"), &Nothing).expect("memory does not fail")
}

fn messages(fs: &MemoryFileSystem) -> Vec<String> {
    report(fs).diagnostics.iter().map(ToString::to_string).collect()
}

fn with(path: &str, content: &str, from: &str, to: &str) -> MemoryFileSystem {
    assert!(content.contains(from), "{from}");
    tree().with(path, content.replacen(from, to, 1))
}

#[test]
fn a_valid_tree_has_no_diagnostics_and_its_objects() {
    let report = report(&tree());
    assert_eq!(report.diagnostics, []);
    let rendered: Vec<_> = report.rendered.values().flatten().map(|o| (o.kind(), o.name())).collect();
    assert_eq!(rendered, [("Deployment", "web"), ("StatefulSet", "api"), ("Service", "web"), ("Service", "api")]);
    // The same from the whole repository, in which the catalog's objects lie beside our kinds.
    let whole = check_tree(&tree(), &TreePath::root(), &Nothing).expect("memory does not fail");
    assert_eq!((whole.diagnostics, whole.config.catalogs.len()), (vec![], 1));
}

#[test]
fn the_example_that_people_start_from_is_valid() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/config");
    let fs = lapdev_kustomize::DiskFileSystem::open(root).expect("the example is there");
    let report = check_tree(&fs, &TreePath::parse("lapdev").expect("inside"), &Nothing).expect("it can be read");
    assert_eq!(report.diagnostics, []);
    assert!(!report.rendered.is_empty());
}

#[test]
fn everything_that_dangles_is_told_with_what_there_is() {
    let rows: Vec<(MemoryFileSystem, &[&str])> = vec![
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "cluster: dev", "cluster: dve"),
            &["lapdev/staging.yaml:7:12: there is no cluster `dve`; did you mean `dev`?"],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "workload: web", "workload: wbe"),
            &["lapdev/staging.yaml:9:18: the catalog has no workload `wbe`; did you mean `web`?"],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "catalog: shop", "catalog: other"),
            &[
                "lapdev/catalog.yaml:11:11: environment `staging` is of catalog `other`; expected a Shared environment of catalog `shop`; there is none",
                "lapdev/staging.yaml:6:12: there is no catalog `other`; expected an AppCatalog; there is shop",
            ],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "base: staging", "base: stagin"),
            &["lapdev/catalog.yaml:11:11: there is no environment `stagin`; did you mean `staging`?"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "- {repository: acme/shop, pull", "- {repository: acme/web, pull"),
            &["lapdev/catalog.yaml:13:22: no workload of the catalog comes from `acme/web`; expected a repository of a rule under `workloads`; add one, or a branch would run nothing"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "name: web, repository", "name: worker, repository"),
            &["lapdev/catalog.yaml:7:14: the catalog has no workload `worker`; expected a Deployment or StatefulSet of the catalog; there is web, api"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "container: web", "container: app"),
            &["lapdev/catalog.yaml:7:61: Deployment `web` has no container `app`; expected a container of it; there is web"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "service: web, port: http", "service: weeb, port: http"),
            &["lapdev/catalog.yaml:9:17: the catalog has no Service `weeb`; did you mean `web`?"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "port: 8080", "port: 81"),
            &["lapdev/catalog.yaml:9:69: Service `api` has no port `81`; expected a port of it; there is 8080"],
        ),
        (
            with("lapdev/catalog.yaml", CATALOG, "apps/shop", "apps/shp"),
            &["lapdev/catalog.yaml:5:18: there is no folder `apps/shp` in this tree; expected a folder with a kustomization or plain manifests"],
        ),
        (
            tree().with("lapdev/b.yaml", "apiVersion: lapdev.dev/v1alpha1\nkind: Environment\nmetadata: {name: b}\nspec: {type: Branch, catalog: shop, base: b, branch: {repository: acme/x, ref: y}}\n"),
            &[
                "lapdev/b.yaml:4:43: environment `b` is Branch, not Shared; expected a Shared environment of catalog `shop`; there is staging",
                "lapdev/b.yaml:4:67: no workload of the catalog comes from `acme/x`; expected a repository of a rule under `workloads`; add one, or a branch would run nothing",
            ],
        ),
    ];
    assert_rows(&rows);
}

#[test]
fn an_error_in_one_kind_raises_no_false_ones_elsewhere_and_hides_none() {
    let rows: Vec<(MemoryFileSystem, &[&str])> = vec![
        // The catalog cannot be read at all: what refers to it does not dangle.
        (
            with("lapdev/catalog.yaml", CATALOG, "{path: apps/shop}", "{path: /}"),
            &[
                "lapdev/catalog.yaml:5:18: `/` leads out of the repository; expected a folder relative to the repository's root, such as apps/shop",
            ],
        ),
        // Of the cluster a part is known; permissions and preview domain are not judged.
        (
            with("lapdev/cluster.yaml", CLUSTER, "shared: true", "shared: 1")
                .with("lapdev/staging.yaml", ENVIRONMENT.replace("catalog: shop", "catalog: shp")),
            &[
                "lapdev/catalog.yaml:11:11: environment `staging` is of catalog `shp`; expected a Shared environment of catalog `shop`; there is none",
                "lapdev/cluster.yaml:5:25: `spec.permissions.shared` is a number; expected true or false",
                "lapdev/staging.yaml:6:12: there is no catalog `shp`; did you mean `shop`?",
            ],
        ),
        // The catalog has errors, and its objects are looked at all the same.
        (
            with("lapdev/catalog.yaml", CATALOG, "repository: acme/shop, image", "repository: shop, image")
                .with("lapdev/staging.yaml", ENVIRONMENT.replace("workload: web", "workload: wbe"))
                .with("apps/shop/z.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"),
            &[
                "apps/shop/z.yaml:1:1: Namespace `shop` is cluster-scoped; expected namespaced objects only; install it outside of lapdev",
                "lapdev/catalog.yaml:7:31: `shop` is not a legal repository; expected owner/name",
                "lapdev/staging.yaml:9:18: the catalog has no workload `wbe`; did you mean `web`?",
            ],
        ),
    ];
    assert_rows(&rows);
}

#[test]
fn what_is_not_permitted_or_means_nothing_is_told() {
    let long = format!("name: {}", "s".repeat(60));
    let rows: Vec<(MemoryFileSystem, &[&str])> = vec![
        (
            with("lapdev/cluster.yaml", CLUSTER, "shared: true", "personal: true"),
            &[
                "lapdev/staging.yaml:7:12: cluster `dev` takes no Shared environments; expected a cluster with `permissions.shared: true`",
            ],
        ),
        (
            with("lapdev/cluster.yaml", CLUSTER, "  previewDomain: preview.example.com\n", ""),
            &[
                "lapdev/staging.yaml:7:12: cluster `dev` has no `previewDomain`, but catalog `shop` has previews; expected a cluster with one, or a catalog without previews",
            ],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "name: staging", "name: legacy")
                .with("lapdev/catalog.yaml", CATALOG.replace("base: staging", "base: legacy")),
            &[
                "lapdev/staging.yaml:3:18: its namespace `lapdev-env-legacy` is one of the cluster's `sourceNamespaces`; expected another name; source namespaces are not lapdev's to write",
            ],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "name: staging", "name: baseline")
                .with("lapdev/catalog.yaml", CATALOG.replace("base: staging", "base: baseline")),
            &[
                "lapdev/staging.yaml:3:18: the name `baseline` is reserved; expected another name; it stands for what belongs to no branch",
            ],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "name: staging", &long)
                .with("lapdev/catalog.yaml", CATALOG.replace("base: staging", &long.replace("name", "base"))),
            &[
                "lapdev/staging.yaml:3:18: its namespace `lapdev-env-ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss` would have 71 characters; expected at most 63 with the cluster's `namespacePrefix`",
            ],
        ),
        (
            tree().with("lapdev/catalog.yaml", format!("{CATALOG}    ttl: 0h\n    sleepAfter: 0s\n    limit: 0\n")),
            &[
                "lapdev/catalog.yaml:14:10: `ttl` is zero; expected a duration above zero, or no such field",
                "lapdev/catalog.yaml:15:17: `sleepAfter` is zero; expected a duration above zero, or no such field",
                "lapdev/catalog.yaml:16:12: a limit of 0 admits no branch environment; expected at least 1; remove `branchEnvironments` to have none",
            ],
        ),
        (
            with(
                "lapdev/catalog.yaml",
                CATALOG,
                "  previews:",
                "    - {name: web, repository: acme/other}\n  previews:",
            ),
            &["lapdev/catalog.yaml:8:14: a second rule for workload `web`; expected one; the first is at line 7"],
        ),
        (
            with("lapdev/staging.yaml", ENVIRONMENT, "replicas: 2", "patches: [{metadata: {name: api}}]"),
            &[
                "lapdev/staging.yaml:9:33: the patch is for `api`, the override for `web`; expected the same name, or none",
            ],
        ),
        (
            tree().with("lapdev/staging.yaml", format!("{ENVIRONMENT}  ttl: 0m\n")),
            &["lapdev/staging.yaml:10:8: `ttl` is zero; expected a duration above zero, or no such field"],
        ),
    ];
    assert_rows(&rows);
}

#[test]
fn an_environment_may_hold_only_what_it_can_own() {
    let object = |text: &str| tree().with("apps/shop/z.yaml", text);
    let rows: Vec<(MemoryFileSystem, &[&str])> = vec![
        (
            object("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"),
            &[
                "apps/shop/z.yaml:1:1: Namespace `shop` is cluster-scoped; expected namespaced objects only; install it outside of lapdev",
            ],
        ),
        (
            object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"),
            &[
                "apps/shop/z.yaml:1:1: ConfigMap `a` names the namespace `shop`; expected none; each environment puts its objects in a namespace of its own",
            ],
        ),
        (
            object("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: hunter2}\n"),
            &[
                "apps/shop/z.yaml:1:1: Secret `a` holds its data in git; expected a reference: an ExternalSecret, a SOPS- or SealedSecrets-encrypted object, or a Secret that is made in the cluster",
            ],
        ),
        (
            object(
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/service-account-token\ndata: {}\n",
            ),
            &[],
        ),
        (
            object("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: lapdev-router-2}\n"),
            &[
                "apps/shop/z.yaml:1:1: Deployment `lapdev-router-2` has a name that begins with `lapdev-router`, which is the router's own; expected another name",
            ],
        ),
        (
            object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lapdev-routes}\n"),
            &[
                "apps/shop/z.yaml:1:1: ConfigMap `lapdev-routes` has the name of the routing table, which is the router's own; expected another name",
            ],
        ),
        (
            object(
                "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {lapdev.dev/router: 'true'}}\n",
            ),
            &[
                "apps/shop/z.yaml:1:1: Service `a` carries the label `lapdev.dev/router`, which is the router's own; expected none",
            ],
        ),
    ];
    assert_rows(&rows);
    let messages = messages(&object("apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n"));
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("apps/shop/z.yaml:"), "{messages:?}");
    let twice = self::messages(&object("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"));
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(twice[0].starts_with("apps/shop/z.yaml:1:1:"), "{twice:?}");
}

#[test]
fn a_catalog_that_does_not_render_is_told_at_the_renderers_place() {
    let fs = tree().with("apps/shop/kustomization.yaml", "resources: [objects.yaml]\nnamePrefx: a-\n");
    let messages = messages(&fs);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("apps/shop/kustomization.yaml:2:1: "), "{messages:?}");
    assert!(messages[0].contains("namePrefix"), "{messages:?}");
}

#[test]
fn a_path_that_does_not_exist_is_told_and_declares_nothing() {
    let report =
        check_tree(&tree(), &TreePath::parse("lapdve").expect("inside"), &Nothing).expect("memory does not fail");
    let messages: Vec<_> = report.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(messages, ["lapdve:1:1: the configured path does not exist in this tree; expected a folder"]);
}

#[test]
fn a_tree_that_cannot_be_read_is_no_report_at_all() {
    struct Broken(MemoryFileSystem, &'static str);
    impl FileSystem for Broken {
        fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
            self.0.find(path)
        }
        fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
            match path.as_str().ends_with(self.1) {
                true => Err(io::Error::other("the disk is gone")),
                false => self.0.read(path),
            }
        }
        fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
            self.0.list(path)
        }
    }
    for file in ["staging.yaml", "objects.yaml"] {
        let broken = Broken(tree(), file);
        assert!(check_tree(&broken, &TreePath::parse("lapdev").expect("inside"), &Nothing).is_err(), "{file}");
    }
}

/// Refuses what is not pinned, and cannot reach the rest.
struct Nothing;

impl Remotes for Nothing {
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
        Err(repository.commit().map_or(BaseError::NotPinned.into(), |_| "the network is away".into()))
    }

    fn file(&self, _: &str, _: usize) -> Result<Vec<u8>, RemoteError> {
        Err(BaseError::File.into())
    }
}

#[test]
fn a_remote_base_that_is_refused_is_an_error_of_the_tree_and_one_that_is_away_is_none() {
    let check = |resource: &str| {
        let fs = tree().with("apps/shop/kustomization.yaml", format!("resources: [objects.yaml, '{resource}']\n"));
        check_tree(&fs, &TreePath::parse("lapdev").expect("inside"), &Nothing)
    };
    for (resource, says) in [
        ("https://git.example.com/shop/base?ref=v1", "write `?ref=` and its full id"),
        ("https://example.com/map.yaml", "lapdev fetches no single files"),
    ] {
        let report = check(resource).expect("a report");
        let messages: Vec<_> = report.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(
            messages[0].starts_with("apps/shop/kustomization.yaml:1:27: resources[1]: cannot fetch"),
            "{messages:?}"
        );
        assert!(messages[0].contains(says), "{messages:?}");
    }
    let away = format!("https://git.example.com/shop/base?ref={}", "0123456789".repeat(4));
    assert!(check(&away).is_err(), "nothing is known then");
}

#[test]
fn diagnostics_are_json_for_editors() {
    let report = report(&with("lapdev/staging.yaml", ENVIRONMENT, "cluster: dev", "cluster: dve"));
    let json = serde_json::to_value(&report.diagnostics).expect("plain data");
    let expected = serde_json::json!([{
        "path": "lapdev/staging.yaml", "line": 7, "column": 12,
        "message": "there is no cluster `dve`", "expected": "did you mean `dev`?",
    }]);
    assert_eq!(json, expected);
}

#[test]
fn a_place_in_another_repository_says_which() {
    let catalog = CATALOG.replace("path: apps/shop", "repository: acme/shop, path: deploy, ref: main");
    let files = [("a", CLUSTER), ("b", &catalog), ("c", ENVIRONMENT)].map(|(path, text)| SourceFile::new(path, text));
    let loaded = load(&files, Scope::Own);
    assert_eq!(loaded.errors, []);
    let source = MemoryFileSystem::new()
        .with("deploy/a.yaml", format!("{OBJECTS}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: x}}\n"));
    let path = TreePath::parse("deploy").expect("inside");
    let objects =
        lapdev_kustomize::render_source(&source, &path, &lapdev_kustomize::Options::default()).expect("it renders");
    let catalog = loaded.config.catalogs.values().next().expect("the catalog");
    let found = check_objects(&loaded.config, catalog, &objects);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].path, "acme/shop@main:deploy/a.yaml");
}

fn assert_rows(rows: &[(MemoryFileSystem, &[&str])]) {
    let wrong: Vec<_> =
        rows.iter().map(|(fs, expected)| (messages(fs), expected)).filter(|(now, expected)| now != *expected).collect();
    assert!(wrong.is_empty(), "what is said, what should be: {wrong:#?}");
}
