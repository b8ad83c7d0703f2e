//! What is loaded, and every message, as tables.

use super::*;
use lapdev_api::kinds::{Access, Forks, Placement, Port, Source, Sync, TriggerOn};

pub(super) const CLUSTER: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: Cluster
metadata: {name: dev, labels: {tier: dev}}
spec:
  permissions: {personal: true, shared: true, intercept: false}
  sourceNamespaces: [shop]
  namespacePrefix: lapdev-env-
  previewDomain: preview.dev.example.com
";

pub(super) const CATALOG: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: AppCatalog
metadata: {name: shop}
spec:
  source: {path: apps/shop}
  sync: auto
  workloads:
    - name: web
      repository: acme/shop
      paths: [\"services/web/**\"]
      image: {container: web, name: ghcr.io/acme/web, tag: \"{sha}\"}
  previews:
    - {service: web, port: http, access: organization, paths: {/api: {service: api, port: http}}}
  branchEnvironments:
    base: staging
    on:
      - {repository: acme/shop, pullRequests: {labels: [], drafts: false, forks: approval}}
      - {repository: acme/shop, branches: [\"feature/**\"]}
    ttl: 72h
    sleepAfter: 1h
    limit: 50
";

pub(super) const ENVIRONMENT: &str = "\
apiVersion: lapdev.dev/v1alpha1
kind: Environment
metadata: {name: staging}
spec:
  type: Shared
  catalog: shop
  cluster: dev
  overrides:
    - {workload: web, replicas: 2, image: \"ghcr.io/acme/web:v2\", env: {LOG: debug}, patches: [{spec: {minReadySeconds: 5}}]}
  paused: false
  ttl: 72h
";

fn load_text(text: &str) -> Loaded {
    load(&[SourceFile::new("x.yaml", text)], Scope::Own)
}

fn messages(text: &str) -> Vec<String> {
    load_text(text).errors.iter().map(ToString::to_string).collect()
}

fn spec(kind: &str, spec: &str) -> String {
    format!("apiVersion: lapdev.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
}

#[test]
fn the_design_pages_example_loads_whole() {
    let text = [CLUSTER, CATALOG, ENVIRONMENT].join("---\n");
    let Loaded { config, errors } = load_text(&text);
    assert_eq!(errors, []);
    let cluster = config.clusters.values().next().expect("the cluster");
    assert!(cluster.permissions.shared && !cluster.permissions.intercept);
    assert_eq!(cluster.preview_domain.as_deref(), Some("preview.dev.example.com"));
    let catalog = config.catalogs.values().next().expect("the catalog");
    assert_eq!(catalog.source, Source::Path { path: "apps/shop".into() });
    assert_eq!(catalog.previews[0].paths["/api"].port, Port::Name("http".into()));
    let branches = catalog.branch_environments.as_ref().expect("branch environments");
    assert_eq!(branches.ttl, Some(jiff::SignedDuration::from_hours(72)));
    assert_eq!(branches.on[1].on, TriggerOn::Branches(vec!["feature/**".into()]));
    let environment = config.environments.values().next().expect("the environment");
    assert_eq!(environment.placement, Placement::Shared { cluster: "dev".parse().expect("legal") });
    assert_eq!(environment.overrides[0].patches[0]["spec"]["minReadySeconds"], 5);
    assert_eq!(environment.places.of("spec.overrides[0].replicas"), Position { line: 40, column: 33 });
    assert_eq!(environment.places.of("spec.overrides[7].image"), environment.places.of("spec.overrides"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = [
        spec("Cluster", "{}"),
        spec("AppCatalog", "{source: {path: a}, previews: [{service: a, port: 80}], branchEnvironments: {base: s, on: [{repository: a/b, pullRequests: {}}]}}"),
    ]
    .join("---\n");
    let Loaded { config, errors } = load_text(&text);
    assert_eq!(errors, []);
    assert_eq!(config.clusters.values().next().expect("the cluster").namespace_prefix, "lapdev-env-");
    let catalog = &config.catalogs.values().next().expect("the catalog").value;
    assert_eq!((catalog.sync, catalog.previews[0].access), (Sync::Auto, Access::Organization));
    let branches = catalog.branch_environments.as_ref().expect("branch environments");
    assert_eq!((branches.limit, branches.ttl), (50, None));
    let TriggerOn::PullRequests(rule) = &branches.on[0].on else { panic!("a pull request rule") };
    assert_eq!((rule.forks, rule.drafts), (Forks::Approval, false));
}

/// Each row: what is written, and all that is said of it.
#[test]
fn every_slip_is_named_with_its_place_and_what_was_expected() {
    let environment = |fields: &str| spec("Environment", fields);
    let catalog = |fields: &str| spec("AppCatalog", &format!("{{source: {{path: a}}, {fields}}}"));
    let branches = |on: &str| catalog(&format!("branchEnvironments: {{base: s, on: [{on}]}}"));
    let rows: Vec<(String, &[&str])> = vec![
        (
            environment("{type: Shared, catalog: shop, clutser: dev, cluster: dev}"),
            &["x.yaml:4:37: unknown field `clutser`; did you mean `cluster`?"],
        ),
        (
            environment("{type: Shared, catalog: shop, cluster: dev, zzz: 1}"),
            &[
                "x.yaml:4:51: unknown field `zzz`; expected one of: type, catalog, base, branch, cluster, owner, overrides, paused, ttl",
            ],
        ),
        (
            environment("{type: shared, catalog: Shop, cluster: dev}"),
            &[
                "x.yaml:4:14: `shared` is not a value of this field; did you mean `Shared`?",
                "x.yaml:4:31: `Shop` is not a legal catalog name; expected a DNS label: 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit",
            ],
        ),
        (
            environment("{type: Personal, catalog: shop, cluster: dev}"),
            &["x.yaml:4:7: `owner` is missing; expected whose it is"],
        ),
        (
            environment("{type: Branch, catalog: shop, base: s, cluster: dev, branch: {repository: a/b, ref: 'a b'}}"),
            &[
                "x.yaml:4:46: a Branch environment names a cluster; expected none: it runs in its base's namespace; remove the field",
                "x.yaml:4:91: `a b` is not a legal branch; expected a git branch name without 'refs/heads/', without spaces or control characters",
            ],
        ),
        (
            environment("{type: Shared, catalog: shop, cluster: dev, owner: a, base: b}"),
            &[
                "x.yaml:4:51: a Shared environment has no owner; expected `type: Personal`, or no such field",
                "x.yaml:4:61: a Shared environment has no base and no branch; expected `type: Branch`, or no such field",
            ],
        ),
        (
            environment("{type: Shared, catalog: shop, cluster: dev, paused: 'no', ttl: 72, overrides: {}}"),
            &[
                "x.yaml:4:59: `spec.paused` is a string; expected true or false",
                "x.yaml:4:70: `spec.ttl` is a number; expected a duration such as 72h, 30m, 1h30m or 3d",
                "x.yaml:4:85: `spec.overrides` is a mapping; expected a list",
            ],
        ),
        (
            environment(
                "{type: Shared, catalog: shop, cluster: dev, overrides: [{workload: w, replicas: -1, env: {A: 1}}]}",
            ),
            &[
                "x.yaml:4:87: the number is out of range; expected a whole number from 0 to 4294967295",
                "x.yaml:4:100: `spec.overrides[0].env.A` is a number; expected a string; put it in quotes",
            ],
        ),
        (
            spec("AppCatalog", "{source: {cluster: prod, namespace: shop}}"),
            &[
                "x.yaml:4:17: `source.cluster` is not supported by this version; expected `path`, or `repository`, `path` and `ref`",
            ],
        ),
        (
            spec("AppCatalog", "{source: {path: ../etc, ref: main}}"),
            &[
                "x.yaml:4:23: `../etc` leads out of the repository; expected a folder relative to the repository's root, such as apps/shop",
                "x.yaml:4:31: `ref` without `repository`; expected `repository` beside it; a path in the config repository follows its configured branch",
            ],
        ),
        (
            spec("AppCatalog", "{source: {repository: shop, path: a}}"),
            &[
                "x.yaml:4:16: `ref` is missing; expected the branch that environments follow",
                "x.yaml:4:29: `shop` is not a legal repository; expected owner/name",
            ],
        ),
        (
            catalog(
                "workloads: [{name: web, repository: a/b, paths: ['a[', /x], image: {container: c, name: 'i:1', tag: '{sh}'}}]",
            ),
            &[
                "x.yaml:4:76: `a[` is not a glob: unclosed character class; missing ']'; expected a glob such as services/web/** or feature/*",
                "x.yaml:4:82: `/x` can never match; expected a glob relative to the repository's root, such as services/web/**",
                "x.yaml:4:115: `i:1` carries a tag or digest; expected the image's name alone, such as ghcr.io/acme/web; the tag has a field of its own",
                "x.yaml:4:127: `{sh}` is not a legal tag; expected letters, digits, '.', '_', '-' and the placeholders {sha} and {pathSha}",
            ],
        ),
        (
            catalog("previews: [{service: web, port: 70000, paths: {api: {service: api}}}]"),
            &[
                "x.yaml:4:59: not a legal port number; expected a number from 1 to 65535, or a port's name",
                "x.yaml:4:74: `api` is not a path below the preview; expected a path such as /api; `/` itself is the preview's own service",
                "x.yaml:4:79: `port` is missing; expected the Service's port, by number or name",
            ],
        ),
        (
            branches(
                "{repository: a/b}, {repository: a/b, pullRequests: {fork: deny}}, {repository: a/b, branches: []}, {repository: a/b, branchs: [x]}",
            ),
            &[
                "x.yaml:4:62: a trigger has neither `pullRequests` nor `branches`; expected `pullRequests: {}` or `branches: [\"feature/**\"]`",
                "x.yaml:4:114: unknown field `fork`; did you mean `forks`?",
                "x.yaml:4:128: `branches` is empty; expected at least one glob, such as feature/**",
                "x.yaml:4:179: unknown field `branchs`; did you mean `branches`?",
            ],
        ),
        (
            spec("Cluster", "{namespacePrefix: '', previewDomain: 'https://x', sourceNamespaces: [A]}"),
            &[
                "x.yaml:4:25: `` is not a legal namespace prefix; expected 1 to 40 of a-z, 0-9 and '-', starting with a letter or digit",
                "x.yaml:4:44: `https://x` is not a domain; expected a DNS name in lower case, such as preview.example.com",
                "x.yaml:4:76: `A` is not a legal namespace; expected a DNS label: 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit",
            ],
        ),
        (
            "apiVersion: lapdev.dev/v1\nkind: Environment\n".into(),
            &[
                "x.yaml:1:13: `lapdev.dev/v1` is not an apiVersion that this version reads; did you mean `lapdev.dev/v1alpha1`?",
            ],
        ),
        (
            "apiVersion: lapdev.dev/v1alpha1\nkind: Enviroment\n".into(),
            &["x.yaml:2:7: `Enviroment` is not a kind of lapdev's; did you mean `Environment`?"],
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\n".into(),
            &[
                "x.yaml:1:13: `apps/v1` is not an apiVersion of lapdev's; expected `lapdev.dev/v1alpha1`; keep other objects outside of the configured path",
                "x.yaml:2:7: `Deployment` is not a kind of lapdev's; expected Cluster, AppCatalog, Environment",
            ],
        ),
        (
            "a: 1\n".into(),
            &[
                "x.yaml:1:1: `apiVersion` is missing; expected lapdev.dev/v1alpha1",
                "x.yaml:1:1: `kind` is missing; expected Cluster, AppCatalog, Environment",
            ],
        ),
        ("- a\n".into(), &["x.yaml:1:1: the document is a list; expected a mapping"]),
        (
            "apiVersion: lapdev.dev/v1alpha1\nkind: Cluster\nmetadata: {name: }\nspec: {}\nstatus: {}\n".into(),
            &[
                "x.yaml:3:12: `name` has no value; expected a name",
                "x.yaml:5:1: unknown field `status`; expected one of: apiVersion, kind, metadata, spec",
            ],
        ),
    ];
    let wrong: Vec<_> =
        rows.iter().map(|(text, expected)| (text, messages(text), expected)).filter(|(_, now, e)| now != *e).collect();
    assert!(wrong.is_empty(), "text, what is said, what should be: {wrong:#?}");
}

#[test]
fn yaml_that_is_none_is_placed_and_later_documents_are_still_read() {
    let rows: &[(&str, &[&str])] = &[
        (
            "a: [1\n---\napiVersion: lapdev.dev/v1alpha1\nkind: Cluster\nmetadata: {name: X}\nspec: {}\n",
            &["x.yaml:1:4: not valid YAML: unclosed bracket '['; ", "x.yaml:5:18: `X` is not a legal cluster name; "],
        ),
        ("a:\n\tb: 1\n", &["x.yaml:2:2: not valid YAML: "]),
        ("a: *b\n", &["x.yaml:1:4: not valid YAML: "]),
        (
            "? [a]\n: 1\n",
            &["x.yaml:1:1: `apiVersion`", "x.yaml:1:1: `kind`", "x.yaml:1:3: a list stands where a key should; "],
        ),
    ];
    for (text, expected) in rows {
        let found = messages(text);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (message, start) in found.iter().zip(*expected) {
            assert!(message.starts_with(start), "{message}");
        }
    }
    assert!(messages("a:\n\tb: 1\n")[0].ends_with("; expected spaces, not tabs, for indentation"));
}

#[test]
fn a_duplicate_key_names_both_places() {
    let text = CLUSTER.replace("  sourceNamespaces", "  previewDomain: a.b\n  sourceNamespaces");
    assert_eq!(
        messages(&text),
        [
            "x.yaml:9:3: the key `previewDomain` occurs twice in this mapping; expected it once; it is already at line 6, column 3"
        ]
    );
}

#[test]
fn a_duplicate_name_names_both_files_and_the_first_counts() {
    let second = CLUSTER.replace("shared: true", "shared: false");
    let files = [SourceFile::new("a.yaml", CLUSTER), SourceFile::new("b.yaml", second)];
    let Loaded { config, errors } = load(&files, Scope::Own);
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        ["b.yaml:3:18: the Cluster `dev` is declared twice; expected another name; it is already at a.yaml:3:18"]
    );
    assert!(config.clusters.values().all(|cluster| cluster.permissions.shared));
}

#[test]
fn hostile_files_are_refused_within_bounds() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{items}]\n");
    }
    let found = messages(&bomb);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("x.yaml:5:"), "{found:?}");
    assert!(found[0].contains("once its aliases are expanded; expected at most 100000 values"), "{found:?}");

    let deep = messages(&"[".repeat(5000));
    assert!(deep[0].starts_with("x.yaml:1:256: values are nested too deeply; "), "{deep:?}");

    let large = load(&[SourceFile::new("x.yaml", vec![b'#'; MAX_FILE_BYTES + 1])], Scope::Own);
    assert_eq!(
        large.errors[0].to_string(),
        "x.yaml:1:1: the file is too large; expected at most 1048576 bytes; split it"
    );
    let unread = load(&[SourceFile { path: "x.yaml".into(), content: None }], Scope::Own);
    assert_eq!(unread, large);

    let latin = load(&[SourceFile::new("x.yaml", b"a: 1\nb: \xc3\xa9 \xe9\n".to_vec())], Scope::Own);
    assert_eq!(
        latin.errors[0].to_string(),
        "x.yaml:2:6: the file is not UTF-8: byte 0xe9 at offset 11; expected text in UTF-8"
    );
}

#[test]
fn no_message_repeats_a_value_of_an_env_or_patch() {
    let text = spec(
        "Environment",
        "{type: Shared, catalog: c, cluster: d, overrides: [{workload: w, env: {TOKEN: [hunter2]}, patches: [hunter2]}]}",
    );
    let found = messages(&text);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|message| !message.contains("hunter2")), "{found:?}");
}

#[test]
fn a_file_in_utf16_is_an_error_and_no_absence() {
    let wide: Vec<u8> = std::iter::once(0xfeff).chain(ENVIRONMENT.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for scope in [Scope::Own, Scope::Shared] {
        let loaded = load(&[SourceFile::new("x.yaml", wide.clone())], scope);
        assert!(loaded.errors[0].to_string().contains("not UTF-8"), "{scope:?}: {:?}", loaded.errors);
    }
}

#[test]
fn beside_the_files_of_others_only_ours_are_judged() {
    let shared = |text: &str| load(&[SourceFile::new("x.yaml", text)], Scope::Shared);
    for foreign in [
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: lapdev}\n",
        "{{ template: lapdev }}: [",
        "kind: Environment\napiVersion: example.com/v1\n",
        "lapdev: yes\n",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\na: 1\na: 2 # lapdev\n",
    ] {
        assert_eq!(shared(foreign).errors, [], "{foreign}");
    }
    assert_eq!(shared(CLUSTER).config.clusters.len(), 1);
    for slip in [
        CLUSTER.replace("lapdev.dev/v1alpha1", "lapdev.dev/v1"),
        CLUSTER.replace("lapdev.dev/v1alpha1", "lapdve.dev/v1alpha1"),
        CLUSTER.replace("apiVersion: lapdev.dev/v1alpha1\n", ""),
        CLUSTER.replace("spec:", "spec: ["),
    ] {
        assert_eq!(shared(&slip).errors.len(), 1, "{slip}");
        assert!(shared(&slip).config.clusters.is_empty());
    }
}

#[test]
fn a_branch_file_may_ask_for_workloads_variables_and_a_ttl() {
    let file = branch_file(BRANCH_FILE, b"workloads: [api]\nenv: {LOG: debug}\nttl: 1h\n").expect("a legal file");
    assert_eq!(file.workloads, ["api"]);
    assert_eq!(file.env["LOG"], "debug");
    assert_eq!(file.ttl, Some(jiff::SignedDuration::from_hours(1)));
    assert_eq!(branch_file(BRANCH_FILE, b"# nothing\n").expect("an empty file").workloads, Vec::<String>::new());
    let errors = branch_file(BRANCH_FILE, b"workload: [api]\nttl: x\n---\na: 1\n").expect_err("three slips");
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            ".lapdev.yaml:4:1: a second document; expected one document",
            ".lapdev.yaml:2:6: `x` is not a duration; expected a duration such as 72h, 30m, 1h30m or 3d",
            ".lapdev.yaml:1:1: unknown field `workload`; did you mean `workloads`?",
        ]
    );
}

#[test]
fn globs_cross_folders_only_with_two_stars() {
    let globs = Globs::new(&["services/web/**".into(), "*.md".into()]).expect("legal globs");
    assert!(globs.matches("services/web/a/b.rs") && globs.matches("README.md"));
    assert!(!globs.matches("services/webby/a.rs") && !globs.matches("docs/README.md"));
    assert!(Globs::new(&[]).expect("no globs").matches("anything"));
}

#[test]
fn a_folder_that_holds_too_much_is_read_no_further_and_says_so_once() {
    let files = (0..MAX_FILES + 50).map(|i| (format!("lapdev/{}/{i}.yaml", i % 7), "a"));
    let many: lapdev_kustomize::MemoryFileSystem = files.collect();
    let large: lapdev_kustomize::MemoryFileSystem =
        (0..40).map(|i| (format!("lapdev/{i}.yaml"), vec![b'#'; MAX_FILE_BYTES])).collect();
    let folder = lapdev_kustomize::TreePath::parse("lapdev").expect("inside");
    for (fs, most) in [(many, MAX_FILES + 1), (large, MAX_TOTAL_BYTES / MAX_FILE_BYTES + 1)] {
        let read = files_under(&fs, &folder).expect("memory does not fail");
        assert_eq!(read.files.len(), most);
        let errors: Vec<_> = read.errors.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(errors, ["the configured path holds too much"]);
    }
}
