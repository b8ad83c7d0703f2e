//! What a rendering yields, and how it fails, seen from outside: trees in, YAML or one error out.

use lapdev_kustomize::{
    DiskFileSystem, Error, Limits, LoadRestrictor, MemoryFileSystem, Object, Options, Problem, TreePath,
    load_manifests, render, render_source, to_yaml,
};

type Files<'f> = &'f [(&'f str, &'f str)];

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - image: web:v1
        name: web
        envFrom:
        - configMapRef:
            name: settings
      - image: proxy:v1
        name: proxy
";

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selector: {app: web}}\n";

fn objects_at(path: &str, files: Files<'_>) -> Result<Vec<Object>, Error> {
    let fs: MemoryFileSystem = files.iter().copied().collect();
    render(&fs, &TreePath::parse(path).expect("a path inside the tree"), &Options::default())
}

fn objects(files: Files<'_>) -> Vec<Object> {
    objects_at("", files).expect("the tree renders")
}

fn yaml(files: Files<'_>) -> String {
    to_yaml(&objects(files))
}

fn failure(files: Files<'_>) -> String {
    objects_at("", files).expect_err("the tree must not render").to_string()
}

#[test]
fn files_and_bases_are_joined_in_the_order_by_kind() {
    let text = yaml(&[
        ("kustomization.yaml", "resources: [deployment.yaml, base]\n"),
        ("deployment.yaml", DEPLOYMENT),
        ("base/kustomization.yml", "resources: [all.yaml]\n"),
        (
            "base/all.yaml",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n# nothing\n",
        ),
    ]);
    assert!(
        text.starts_with("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\napiVersion: apps/v1\n"),
        "{text}"
    );
}

#[test]
fn fifo_keeps_the_order_of_the_files() {
    let files = [
        ("kustomization.yaml", "resources: [deployment.yaml, service.yaml]\nsortOptions: {order: fifo}\n"),
        ("deployment.yaml", DEPLOYMENT),
        ("service.yaml", SERVICE),
    ];
    let kinds: Vec<String> = objects(&files).iter().map(|object| object.kind().to_owned()).collect();
    assert_eq!(kinds, ["Deployment", "Service"]);
}

#[test]
fn a_generated_name_has_its_hash_wherever_it_is_used() {
    let files = [
        (
            "kustomization.yaml",
            "resources: [deployment.yaml]\nnamePrefix: dev-\nconfigMapGenerator:\n- name: settings\n  literals: [a=1]\n",
        ),
        ("deployment.yaml", DEPLOYMENT),
    ];
    let rendered = objects(&files);
    assert_eq!(rendered[0].name(), "dev-settings-h29d89cmmt");
    assert_eq!(rendered[1].name(), "dev-web");
    let reference = rendered[1].value().pointer("/spec/template/spec/containers/0/envFrom/0/configMapRef/name");
    assert_eq!(reference.and_then(|name| name.as_str()), Some("dev-settings-h29d89cmmt"));
}

#[test]
fn a_merging_generator_changes_the_generated_map_of_the_base() {
    let files = [
        (
            "kustomization.yaml",
            "resources: [base]\nconfigMapGenerator:\n- {name: s, behavior: merge, literals: [b=2]}\n",
        ),
        ("base/kustomization.yaml", "configMapGenerator:\n- {name: s, literals: [a=1, b=1]}\n"),
    ];
    assert_eq!(
        yaml(&files),
        "apiVersion: v1\ndata:\n  a: \"1\"\n  b: \"2\"\nkind: ConfigMap\nmetadata:\n  name: s-7gdc49gk6d\n"
    );
}

#[test]
fn secrets_hold_base64_and_options_apply() {
    let files = [(
        "kustomization.yaml",
        "generatorOptions: {disableNameSuffixHash: true, labels: {a: b}}\nsecretGenerator:\n- {name: s, literals: [k=v], type: t}\n",
    )];
    assert_eq!(
        yaml(&files),
        "apiVersion: v1\ndata:\n  k: dg==\nkind: Secret\nmetadata:\n  labels:\n    a: b\n  name: s\ntype: t\n"
    );
}

#[test]
fn a_namespace_moves_objects_but_not_cluster_scoped_ones() {
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n\
        subjects: [{kind: ServiceAccount, name: web, namespace: old}]\n";
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: old}\n";
    let files = [
        ("kustomization.yaml", "namespace: new\nresources: [b.yaml, a.yaml]\n"),
        ("b.yaml", binding),
        ("a.yaml", account),
    ];
    let rendered = objects(&files);
    assert_eq!(rendered[0].namespace(), Some("new"));
    assert_eq!(rendered[1].namespace(), None);
    assert_eq!(rendered[1].value()["subjects"][0]["namespace"], "new");
}

#[test]
fn labels_reach_selectors_only_when_asked() {
    let files = |kustomization: &'static str| {
        let rendered = objects(&[("kustomization.yaml", kustomization), ("d.yaml", DEPLOYMENT)]);
        let at = |pointer: &str| rendered[0].value().pointer(pointer).is_some();
        (at("/metadata/labels/x"), at("/spec/selector/matchLabels/x"), at("/spec/template/metadata/labels/x"))
    };
    assert_eq!(files("resources: [d.yaml]\nlabels: [{pairs: {x: v}}]\n"), (true, false, false));
    assert_eq!(files("resources: [d.yaml]\nlabels: [{pairs: {x: v}, includeTemplates: true}]\n"), (true, false, true));
    assert_eq!(files("resources: [d.yaml]\nlabels: [{pairs: {x: v}, includeSelectors: true}]\n"), (true, true, true));
    assert_eq!(files("resources: [d.yaml]\ncommonLabels: {x: v}\n"), (true, true, true));
}

#[test]
fn images_and_replicas_change_by_name() {
    let kustomization = "resources: [d.yaml]\nreplicas: [{name: web, count: 3}]\n\
        images: [{name: web, newName: host:5000/web, newTag: v2}, {name: proxy, digest: 'sha256:ab'}]\n";
    let rendered = objects(&[("kustomization.yaml", kustomization), ("d.yaml", DEPLOYMENT)]);
    let spec = &rendered[0].value()["spec"];
    assert_eq!(spec["replicas"], 3);
    assert_eq!(spec["template"]["spec"]["containers"][0]["image"], "host:5000/web:v2");
    assert_eq!(spec["template"]["spec"]["containers"][1]["image"], "proxy@sha256:ab");
}

#[test]
fn a_strategic_merge_patch_merges_containers_by_name_and_deletes() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n\
        \x20     - {name: proxy, $patch: delete}\n      - {name: web, image: web:v2, envFrom: null}\n      - {name: new, image: new}\n";
    let rendered = objects(&[
        ("kustomization.yaml", "resources: [d.yaml]\npatches: [{path: p.yaml}]\n"),
        ("d.yaml", DEPLOYMENT),
        ("p.yaml", patch),
    ]);
    let containers = &rendered[0].value()["spec"]["template"]["spec"]["containers"];
    assert_eq!(*containers, serde_json::json!([{"name": "web", "image": "web:v2"}, {"name": "new", "image": "new"}]));
}

#[test]
fn a_json_patch_needs_a_target_and_changes_every_match() {
    let kustomization = "resources: [d.yaml, s.yaml]\npatches:\n- target: {kind: Deploy.*}\n  patch: |-\n    - op: add\n      path: /metadata/annotations/a\n      value: b\n";
    let rendered = objects(&[("kustomization.yaml", kustomization), ("d.yaml", DEPLOYMENT), ("s.yaml", SERVICE)]);
    let annotated =
        rendered.iter().filter(|object| object.annotations().is_some()).map(Object::kind).collect::<Vec<_>>();
    assert_eq!(annotated, ["Deployment"]);
    let without = "resources: [d.yaml]\npatches:\n- patch: |-\n    - {op: remove, path: /spec}\n";
    assert!(
        failure(&[("kustomization.yaml", without), ("d.yaml", DEPLOYMENT)]).contains("a JSON patch needs a `target`")
    );
}

#[test]
fn a_component_changes_the_objects_of_its_parent() {
    let files = [
        ("kustomization.yaml", "resources: [d.yaml]\ncomponents: [extra]\n"),
        ("d.yaml", DEPLOYMENT),
        ("extra/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -x\n"),
    ];
    assert_eq!(objects(&files)[0].name(), "web-x");
    assert!(failure(&[files[1], files[2], ("kustomization.yaml", "resources: [extra]\n")]).contains("is a component"));
}

#[test]
fn a_rendering_of_its_own_output_changes_nothing() {
    let files = [
        (
            "kustomization.yaml",
            "resources: [d.yaml, s.yaml]\nnamePrefix: a-\nnamespace: shop\nconfigMapGenerator: [{name: settings, literals: [a=1]}]\n",
        ),
        ("d.yaml", DEPLOYMENT),
        ("s.yaml", SERVICE),
    ];
    let once = yaml(&files);
    assert_eq!(yaml(&[("kustomization.yaml", "resources: [all.yaml]\n"), ("all.yaml", &once)]), once);
}

#[test]
fn plain_manifests_are_loaded_where_no_kustomization_is() {
    let fs = MemoryFileSystem::new()
        .with("b.yml", SERVICE)
        .with("a.yaml", DEPLOYMENT)
        .with("notes.txt", "x")
        .with(".tool.yaml", "x")
        .with("sub/c.yaml", "broken: [");
    let loaded = render_source(&fs, &TreePath::root(), &Options::default()).expect("loads");
    assert_eq!(loaded.iter().map(Object::kind).collect::<Vec<_>>(), ["Deployment", "Service"]);
    assert_eq!(loaded, load_manifests(&fs, &TreePath::root(), &Options::default()).expect("loads"));
    assert_eq!(loaded[1].place().to_string(), "b.yml:1:1");

    let fs = fs.with("kustomization.yaml", "resources: [b.yml]\n");
    assert_eq!(render_source(&fs, &TreePath::root(), &Options::default()).expect("renders").len(), 1);
}

#[test]
fn errors_name_file_line_column_and_field() {
    let cases: &[(Files<'_>, &str)] = &[
        (
            &[("kustomization.yaml", "resources: []\nnamPrefix: x\n")],
            "kustomization.yaml:2:1: unknown field `namPrefix`; did you mean `namePrefix`?",
        ),
        (
            &[("kustomization.yaml", "images:\n- name: a\n  newTag: 1.20\n")],
            "kustomization.yaml:3:11: images[0].newTag: expected a string (quote it), found a number",
        ),
        (
            &[("kustomization.yaml", "resources:\n- gone.yaml\n")],
            "kustomization.yaml:2:3: resources[0]: `gone.yaml` does not exist; correct the path or add the file",
        ),
        (&[("kustomization.yaml", "a: [\n")], "kustomization.yaml:1:4: invalid YAML: unclosed bracket"),
        (
            &[("kustomization.yaml", "# nothing\n")],
            "kustomization.yaml: the kustomization is empty; list at least one resource",
        ),
        (&[("x.yaml", "")], ".: no kustomization.yaml, kustomization.yml or Kustomization in this directory"),
        (
            &[
                ("kustomization.yaml", "resources: [a.yaml]\n"),
                ("a.yaml", "kind: A\nmetadata: {name: a}\n---\nkind: A\nmetadata: {name: a, b: 1}\n"),
            ],
            "a.yaml:4:1: the object A `a` in namespace `default` is already defined at a.yaml:1:1; remove one or rename it",
        ),
        (
            &[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: A\nmetadata: {}\n")],
            "a.yaml:1:1: not a Kubernetes object: `metadata.name` is missing or not a string",
        ),
        (
            &[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: A\nkind: B\n")],
            "a.yaml:2:1: the key `kind` occurs twice in this mapping; remove one",
        ),
        (
            &[
                ("kustomization.yaml", "resources: [a.yaml]\npatches:\n- patch: '{kind: A, metadata: {name: z}}'\n"),
                ("a.yaml", "kind: A\nmetadata: {name: a}\n"),
            ],
            "kustomization.yaml:3:10: patches[0].patch: no object matches the patch for A `z` in namespace `default`",
        ),
        (
            &[
                ("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: A}}]\n"),
                ("a.yaml", "kind: A\nmetadata: {name: a}\n"),
                ("p.yaml", "- {op: add, path: /x, value: 1}\n- {op: remove, path: /z}\n"),
            ],
            "p.yaml:2:3: A `a` in namespace `default`: path `/z`: there is nothing to remove",
        ),
        (
            &[
                ("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: A}}]\n"),
                ("a.yaml", "kind: A\nmetadata: {name: a}\n"),
                ("p.yaml", "- {op: remove, path: /kind}\n"),
            ],
            "a.yaml:1:1: not a Kubernetes object: `kind` is missing or not a string",
        ),
        (
            &[("kustomization.yaml", "resources: [https://example.com/a.yaml]\n")],
            "kustomization.yaml:1:13: resources[0]: the remote resource `https://example.com/a.yaml` is not supported by this renderer yet; copy it into the tree",
        ),
        (
            &[("kustomization.yaml", "helmCharts: [{name: a}]\n")],
            "kustomization.yaml:1:13: helmCharts: `helmCharts` is not supported by this renderer yet; render the chart to files and list them under `resources`",
        ),
    ];
    for (files, expected) in cases {
        let found = failure(files);
        assert!(found.starts_with(expected), "expected {expected}\n   found {found}");
    }
}

#[test]
fn circles_and_deep_chains_of_bases_end_in_one_error() {
    let circle = [("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")];
    let error = objects_at("a", &circle).expect_err("a circle");
    assert!(matches!(error.problem(), Problem::Cycle(..)), "{error}");

    let chain: Vec<(String, String)> =
        (0..100).map(|at| (format!("{at}/kustomization.yaml"), format!("resources: [../{}]\n", at + 1))).collect();
    let fs: MemoryFileSystem = chain.iter().map(|(path, text)| (path, text.as_str())).collect();
    let error = render(&fs, &TreePath::parse("0").expect("inside"), &Options::default()).expect_err("too deep");
    assert!(matches!(error.problem(), Problem::TooDeep(_)), "{error}");
}

#[test]
fn files_outside_of_the_directory_are_refused_unless_allowed() {
    let fs = MemoryFileSystem::new().with("app/kustomization.yaml", "resources: [../s.yaml]\n").with("s.yaml", SERVICE);
    let app = TreePath::parse("app").expect("inside");
    let error = render(&fs, &app, &Options::default()).expect_err("outside");
    assert!(matches!(error.problem(), Problem::OutsideRoot(..)), "{error}");
    let lenient = Options { load_restrictor: LoadRestrictor::None, ..Options::default() };
    assert_eq!(render(&fs, &app, &lenient).expect("allowed").len(), 1);

    let fs = fs.with("app/kustomization.yaml", "resources: [../../s.yaml]\n");
    let error = render(&fs, &app, &lenient).expect_err("out of the tree");
    assert!(matches!(error.problem(), Problem::OutsideTree(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_directory_are_refused_on_disk() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = std::env::temp_dir().join(format!("lapdev-kustomize-{}", std::process::id()));
    std::fs::create_dir_all(scratch.join("app"))?;
    std::fs::write(scratch.join("secret.yaml"), SERVICE)?;
    std::fs::write(scratch.join("app/kustomization.yaml"), "resources: [link.yaml]\n")?;
    std::os::unix::fs::symlink("../secret.yaml", scratch.join("app/link.yaml"))?;
    let outer = DiskFileSystem::open(&scratch)?;
    let result = render(&outer, &outer.tree_path(scratch.join("app"))?, &Options::default());
    let inner = DiskFileSystem::open(scratch.join("app"))?;
    let sealed = render(&inner, &TreePath::root(), &Options::default());
    std::fs::remove_dir_all(&scratch)?;

    let error = result.expect_err("a link out of the directory");
    assert!(matches!(error.problem(), Problem::OutsideRoot(..)), "{error}");
    let error = sealed.expect_err("a link out of the tree");
    assert!(matches!(error.problem(), Problem::Missing(_)), "{error}");
    Ok(())
}

#[test]
fn hostile_input_is_one_error_and_never_a_panic() {
    let deep = "[".repeat(1_000_000);
    let nested = format!("kind: A\nmetadata: {{name: a}}\nx: {}1{}\n", "{a: ".repeat(100_000), "}".repeat(100_000));
    let texts: &[&[u8]] = &[
        b"\xff\xfe",
        b"kind: A\nmetadata: {name: \"a\xff\"}\n",
        deep.as_bytes(),
        nested.as_bytes(),
        b"- 1\n",
        b"x\n",
        b"a: &a [*a]\n",
        b"kind: A\nmetadata: 1\n",
        b"kind: [A]\nmetadata: {name: a}\n",
        b"kind: AList\nitems: 1\n",
        b"{a: b, ? [c] : d}\n",
        b"kind: A\nmetadata: {name: a}\nx: .inf\n",
        b"\0",
        b"kind: A\nmetadata: {name: a, labels: []}\n",
    ];
    for text in texts {
        let fs = MemoryFileSystem::new().with("kustomization.yaml", "resources: [a.yaml]\n").with("a.yaml", *text);
        assert!(render(&fs, &TreePath::root(), &Options::default()).is_err(), "{:?}", &text[..text.len().min(40)]);
        let fs = MemoryFileSystem::new().with("kustomization.yaml", *text);
        assert!(render(&fs, &TreePath::root(), &Options::default()).is_err(), "{:?}", &text[..text.len().min(40)]);
    }
}

#[test]
fn limits_hold_for_files_and_objects() {
    let fs = MemoryFileSystem::new()
        .with("kustomization.yaml", "resources: [a.yaml, s.yaml]\n")
        .with("s.yaml", SERVICE)
        .with("a.yaml", DEPLOYMENT);
    for limits in [
        Limits { objects: 1, ..Limits::default() },
        Limits { file_bytes: 100, ..Limits::default() },
        Limits { nodes: 10, ..Limits::default() },
    ] {
        let options = Options { limits, ..Options::default() };
        let error = render(&fs, &TreePath::root(), &options).expect_err("beyond a limit");
        assert!(matches!(error.problem(), Problem::TooLarge(..)), "{error}");
    }
}

#[test]
fn amplification_ends_at_a_limit_and_not_in_memory() {
    let bomb = |kustomization: &str, object: &str| {
        let files = [("kustomization.yaml", kustomization), ("a.yaml", object)];
        let fs: MemoryFileSystem = files.into_iter().collect();
        let options = Options { limits: Limits { total: 100_000, ..Limits::default() }, ..Options::default() };
        render(&fs, &TreePath::root(), &options).expect_err("must not render").to_string()
    };
    let list = "kind: AList\nitems:\n".to_owned()
        + &(0..2_000).map(|at| format!("- {{kind: A, metadata: {{name: a{at}}}, x: $(V)}}\n")).collect::<String>();
    let long = "x".repeat(10_000);

    for kustomization in [
        format!("resources: [a.yaml]\nnamePrefix: {long}\n"),
        format!("resources: [a.yaml]\nnamespace: {long}\n"),
        format!("resources: [a.yaml]\ncommonAnnotations: {{a: {long}}}\n"),
        format!(
            "resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '{{kind: A, metadata: {{name: x}}, y: {long}}}'\n"
        ),
        format!(
            "resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '[{{op: add, path: /y, value: {long}}}]'\n"
        ),
        format!(
            "resources: [a.yaml]\nreplacements:\n- sourceValue: {long}\n  targets: [{{select: {{kind: A}}, fieldPaths: [x]}}]\n"
        ),
    ] {
        let error = bomb(&kustomization, &list);
        assert!(error.contains("beyond its limit"), "{error}");
    }

    // Copies of copies, by size and by depth.
    let copies = "{op: copy, from: /x, path: /x/-}, ".repeat(60);
    let error = bomb(
        &format!("resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '[{copies}]'\n"),
        "kind: A\nmetadata: {name: a}\nx: [1]\n",
    );
    assert!(error.contains("beyond its limit"), "{error}");
    let deeper = "{op: move, from: /x, path: /y}, {op: add, path: /x, value: {}}, {op: move, from: /y, path: /x/y}, "
        .repeat(1_000);
    let error = bomb(
        &format!("resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '[{deeper}]'\n"),
        "kind: A\nmetadata: {name: a}\nx: 1\n",
    );
    assert!(error.contains("nested deeper"), "{error}");
}

#[test]
fn a_few_bases_that_include_each_other_twice_end_at_a_limit() {
    // 2^40 visits if nothing counted them.
    let mut fs = MemoryFileSystem::new();
    for level in 0..40 {
        for side in ["a", "b"] {
            let next = level + 1;
            fs.insert(&format!("{level}{side}/kustomization.yaml"), format!("resources: [../{next}a, ../{next}b]\n"));
        }
    }
    fs.insert("40a/kustomization.yaml", "namePrefix: x\n");
    fs.insert("40b/kustomization.yaml", "namePrefix: x\n");
    let error = render(&fs, &TreePath::parse("0a").expect("inside"), &Options::default()).expect_err("too many");
    assert!(matches!(error.problem(), Problem::TooLarge(_, "kustomizations")), "{error}");
}

#[test]
fn configurations_teach_references_of_custom_kinds() {
    let files = [
        ("kustomization.yaml", "resources: [all.yaml]\nnamePrefix: p-\nconfigurations: [c.yaml]\n"),
        ("c.yaml", "nameReference:\n- kind: Service\n  fieldSpecs: [{kind: Route, path: spec/to}]\n"),
        (
            "all.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: e.com/v1\nkind: Route\nmetadata: {name: r}\nspec: {to: web}\n",
        ),
    ];
    let route = objects(&files).into_iter().find(|object| object.kind() == "Route").expect("a route");
    assert_eq!(route.value()["spec"]["to"], "p-web");
}

#[test]
fn replacements_copy_a_value_and_variables_expand_one() {
    let kustomization = "resources: [d.yaml, s.yaml]\n\
        replacements:\n- source: {kind: Service, name: web, fieldPath: spec.ports.0.port}\n  \
        targets: [{select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.[name=proxy].port'], options: {create: true}}]\n\
        vars:\n- {name: NAME, objref: {apiVersion: v1, kind: Service, name: web}}\n\
        patches: [{target: {kind: Deployment}, patch: '[{op: add, path: /spec/template/spec/containers/0/args, value: [\"--host=$(NAME)\"]}]'}]\n";
    let rendered = objects(&[("kustomization.yaml", kustomization), ("d.yaml", DEPLOYMENT), ("s.yaml", SERVICE)]);
    let containers = &rendered[1].value()["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[1]["port"], 80);
    assert_eq!(containers[0]["args"][0], "--host=web");
}

#[test]
fn built_in_plugins_run_and_programs_do_not() {
    let files = [
        ("kustomization.yaml", "resources: [s.yaml]\ngenerators: [g.yaml]\ntransformers: [t.yaml]\n"),
        ("s.yaml", SERVICE),
        (
            "g.yaml",
            "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: made}\nliterals: [a=b]\noptions: {disableNameSuffixHash: true}\n",
        ),
        (
            "t.yaml",
            "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: t}\nprefix: x-\nfieldSpecs: [{path: metadata/name}]\n",
        ),
    ];
    let names: Vec<String> = objects(&files).iter().map(|object| object.name().to_owned()).collect();
    assert_eq!(names, ["x-made", "x-web"]);
    let program = [
        files[1],
        ("kustomization.yaml", "resources: [s.yaml]\ntransformers: [t.yaml]\n"),
        ("t.yaml", "apiVersion: e.com/v1\nkind: Run\nmetadata: {name: t}\n"),
    ];
    assert!(failure(&program).contains("programs and containers do not"));
}

#[test]
fn a_validator_that_changes_something_is_an_error() {
    let validator = "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: v}\nlabels: {a: b}\nfieldSpecs: [{path: metadata/labels, create: true}]\n";
    let files = [
        ("kustomization.yaml", "resources: [s.yaml]\nvalidators: [v.yaml]\n"),
        ("s.yaml", SERVICE),
        ("v.yaml", validator),
    ];
    assert!(failure(&files).contains("a validator must not change objects"));
}

#[test]
fn build_metadata_tells_where_an_object_came_from_and_what_changed_it() {
    let root = "resources: [../base]\nbuildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\n";
    let files = [
        ("top/kustomization.yaml", root),
        (
            "base/kustomization.yaml",
            "resources: [s.yaml]\nnameSuffix: -x\nconfigMapGenerator: [{name: c, literals: [a=b]}]\n",
        ),
        ("base/s.yaml", SERVICE),
    ];
    let rendered = objects_at("top", &files).expect("the tree renders");
    let annotation = |at: usize, key: &str| {
        rendered[at].annotations().and_then(|all| all.get(key)).and_then(|text| text.as_str().map(str::to_owned))
    };
    let origin = "config.kubernetes.io/origin";
    let made =
        "configuredIn: ../base/kustomization.yaml\nconfiguredBy:\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n";
    assert_eq!(annotation(0, origin).as_deref(), Some(made));
    assert_eq!(annotation(1, origin).as_deref(), Some("path: ../base/s.yaml\n"));
    let changed = annotation(1, "alpha.config.kubernetes.io/transformations");
    assert_eq!(
        changed.as_deref(),
        Some(
            "- configuredIn: ../base/kustomization.yaml\n  configuredBy:\n    apiVersion: builtin\n    kind: SuffixTransformer\n"
        )
    );
    let label = rendered[1]
        .labels()
        .and_then(|labels| labels.get("app.kubernetes.io/managed-by"))
        .and_then(|label| label.as_str());
    assert!(label.is_some_and(|label| label.starts_with("kustomize-lapdev-")), "{label:?}");
}

#[test]
fn objects_and_errors_may_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Object>();
    crosses::<Error>();
    crosses::<MemoryFileSystem>();
    crosses::<DiskFileSystem>();
}

/// A custom kind whose `items` merge by `id`.
const QUEUE_TYPES: &str = "definitions:\n  Queue:\n    properties:\n      items:\n        type: array\n        x-kubernetes-patch-strategy: merge\n        x-kubernetes-patch-merge-key: id\n    x-kubernetes-group-version-kind:\n    - {group: e.com, version: v1, kind: Queue}\n";
const QUEUE: &str = "apiVersion: e.com/v1\nkind: Queue\nmetadata: {name: q}\nitems:\n- {id: a, x: 1}\n- {id: b}\n";
const QUEUE_PATCH: &str = "patches:\n- patch: |\n    apiVersion: e.com/v1\n    kind: Queue\n    metadata: {name: q}\n    items: [{id: a, y: 2}]\n";

#[test]
fn lists_of_custom_kinds_merge_by_the_keys_of_the_openapi_document() {
    let kustomization = format!("resources: [q.yaml]\nopenapi: {{path: types.yaml}}\n{QUEUE_PATCH}");
    let files = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", QUEUE), ("types.yaml", QUEUE_TYPES)];
    assert!(yaml(&files).contains("items:\n- id: a\n  x: 1\n  \"y\": 2\n- id: b\n"), "{}", yaml(&files));
}

#[test]
fn the_openapi_choice_of_the_rendered_kustomization_wins_over_that_of_a_base() {
    let overlay = |choice: &str| format!("resources: [base]\n{choice}{QUEUE_PATCH}");
    let base = "resources: [q.yaml]\nopenapi: {path: types.yaml}\n";
    for (choice, merges) in [("", true), ("openapi: {version: v1.21.2}\n", false)] {
        let overlay = overlay(choice);
        let files = [
            ("kustomization.yaml", overlay.as_str()),
            ("base/kustomization.yaml", base),
            ("base/q.yaml", QUEUE),
            ("base/types.yaml", QUEUE_TYPES),
        ];
        assert_eq!(yaml(&files).contains("x: 1"), merges, "{}", yaml(&files));
    }
}

#[test]
fn openapi_errors_name_file_and_field() {
    for (choice, types, expected) in [
        ("{path: none.yaml}", "", "kustomization.yaml:2:10: openapi.path: `none.yaml` does not exist"),
        ("{version: v1.20.4}", "", "kustomization.yaml:2:10: openapi.version: the version `v1.20.4` is not built in"),
        ("{path: types.yaml, version: v1.21.2}", "", "openapi.version: `path` and `version` exclude each other"),
        ("{path: types.yaml}", "definitions: []", "types.yaml: `definitions` must be a mapping"),
        ("{path: types.yaml}", "{\"definitions\": ", "types.yaml:1:16: invalid YAML: this is not JSON"),
        ("{path: [x]}", "", "kustomization.yaml:2:17: openapi.path: expected a string, found a list"),
    ] {
        let kustomization = format!("resources: [q.yaml]\nopenapi: {choice}\n");
        let files = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", QUEUE), ("types.yaml", types)];
        assert!(failure(&files).contains(expected), "{}", failure(&files));
    }
}

#[test]
fn crds_teach_references_and_selectors_of_custom_kinds() {
    let crd = r##"{
        "e.com/v1.Bee": {"Schema": {"properties": {"kind": {}, "apiVersion": {}, "metadata": {},
            "spec": {"$ref": "e.com/v1.BeeSpec"}}}},
        "e.com/v1.BeeSpec": {"Schema": {"properties": {
            "secretRef": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Secret"},
            "configRef": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "ConfigMap",
                "x-kubernetes-object-ref-name-key": "map"},
            "selector": {"x-kubernetes-label-selector": ""},
            "notes": {"x-kubernetes-annotation": ""},
            "identity": {"x-kubernetes-identity": ""}
        }}}
    }"##;
    let bee = "apiVersion: e.com/v1\nkind: Bee\nmetadata: {name: bee}\nspec:\n  secretRef: {name: s}\n  \
               configRef: {map: c}\n  selector: {a: b}\n  notes: {a: b}\n  identity: me\n";
    let others = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    let files = [
        (
            "kustomization.yaml",
            "crds: [crd.json]\nresources: [bee.yaml, others.yaml]\nnamePrefix: p-\ncommonLabels: {l: x}\n\
             commonAnnotations: {note: x}\n",
        ),
        ("crd.json", crd),
        ("bee.yaml", bee),
        ("others.yaml", others),
    ];
    let spec = "spec:\n  configRef:\n    map: p-c\n  identity: p-me\n  notes:\n    a: b\n    note: x\n  \
                secretRef:\n    name: p-s\n  selector:\n    a: b\n    l: x\n";
    assert!(yaml(&files).contains(spec), "{}", yaml(&files));
}

#[test]
fn crds_that_refer_to_each_other_end_in_one_error() {
    let object =
        r#""properties": {"kind": {}, "apiVersion": {}, "metadata": {}, "a": {"$ref": "x.K"}, "b": {"$ref": "x.K"}}"#;
    let circle = format!("{{\"x.K\": {{\"Schema\": {{{object}}}}}}}");
    let fields: Vec<String> =
        (0..6_000).map(|at| format!("\"f{at}\": {{\"x-kubernetes-annotation\": \"\"}}")).collect();
    let many = format!(
        "{{\"x.K\": {{\"Schema\": {{\"properties\": {{\"kind\": {{}}, \"apiVersion\": {{}}, \"metadata\": {{}}, {}}}}}}}}}",
        fields.join(", ")
    );
    for (crd, expected) in [
        (many.as_str(), "crd.json: too many fields"),
        (circle.as_str(), "crd.json: the definition `x.K` refers to itself"),
        ("[]", "crd.json: a mapping of type names"),
        ("", "crd.json: a mapping of type names"),
    ] {
        let files =
            [("kustomization.yaml", "crds: [crd.json]\nresources: [q.yaml]\n"), ("crd.json", crd), ("q.yaml", QUEUE)];
        assert!(failure(&files).contains(expected), "{}", failure(&files));
    }
}

#[test]
fn an_iam_policy_generator_makes_a_service_account() {
    let kustomization = "generators:\n- |-\n  apiVersion: builtin\n  kind: IAMPolicyGenerator\n  metadata: {name: g}\n  \
         cloud: gke\n  kubernetesService: {name: k, namespace: ns}\n  serviceAccount: {name: a, projectId: p}\n";
    assert_eq!(
        yaml(&[("kustomization.yaml", kustomization)]),
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  annotations:\n    \
         iam.gke.io/gcp-service-account: a@p.iam.gserviceaccount.com\n  name: k\n  namespace: ns\n"
    );
    let other = kustomization.replace("gke", "eks");
    let message = failure(&[("kustomization.yaml", other.as_str())]);
    assert!(message.contains("cloud: the cloud `eks` is not known; `gke` is"), "{message}");
}

#[test]
fn a_schema_in_a_comment_says_how_a_list_merges() {
    let object = "apiVersion: e.com/v1\nkind: Queue\nmetadata: {name: q}\nitems: # \
         {\"type\":\"array\",\"x-kubernetes-patch-strategy\":\"merge\",\"x-kubernetes-patch-merge-key\":\"id\"}\n\
         - {id: a, x: 1}\n";
    let kustomization = format!("resources: [q.yaml]\n{QUEUE_PATCH}");
    let files = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", object)];
    assert!(yaml(&files).contains("- id: a\n  x: 1\n  \"y\": 2\n"), "{}", yaml(&files));
}

#[test]
fn keys_and_texts_that_the_reference_cannot_write_are_refused() {
    for (kustomization, expected) in [
        (
            "resources: [q.yaml]\ncommonAnnotations: {\"2\": x}\n",
            "q.yaml:1:1: field `metadata/annotations`: the key `2`",
        ),
        (
            "resources: [q.yaml]\nlabels: [{pairs: {\"true\": x}}]\n",
            "q.yaml:1:1: field `metadata/labels`: the key `true`",
        ),
        (
            "configMapGenerator: [{name: c, literals: [\"1=x\"]}]\n",
            "kustomization.yaml:1:22: configMapGenerator[0]: the key `1`",
        ),
        (
            "configMapGenerator: [{name: c, files: [tab.txt]}]\n",
            "configMapGenerator[0]: the value of `tab.txt`: text of several",
        ),
    ] {
        let files = [("kustomization.yaml", kustomization), ("q.yaml", QUEUE), ("tab.txt", "\tx\ny\n")];
        assert!(failure(&files).contains(expected), "{}", failure(&files));
    }
    let quoted = QUEUE.replace("name: q", "name: q, annotations: {\"2\": x}");
    let files =
        [("kustomization.yaml", "resources: [q.yaml]\ncommonAnnotations: {\"2\": z}\n"), ("q.yaml", quoted.as_str())];
    assert!(yaml(&files).contains("\"2\": z"), "{}", yaml(&files));
}

#[test]
fn a_key_that_a_patch_has_twice_counts_once_where_it_meets_a_mapping() {
    let patched = |body: &str| {
        format!(
            "resources: [q.yaml]\npatches:\n- patch: |\n    apiVersion: e.com/v1\n    kind: Queue\n    metadata: {{name: q}}\n    {body}\n"
        )
    };
    let meets = patched("x: 1\n    x: 2");
    let files = [("kustomization.yaml", meets.as_str()), ("q.yaml", QUEUE)];
    assert!(yaml(&files).contains("x: 1\n") && !yaml(&files).contains("repeated"), "{}", yaml(&files));
    let added = patched("new: {x: 1, x: 2}");
    let message = failure(&[("kustomization.yaml", added.as_str()), ("q.yaml", QUEUE)]);
    assert!(
        message.contains("patches[0].patch: e.com/v1 Queue `q`") && message.contains("`x` occurs twice"),
        "{message}"
    );
}

#[test]
fn a_json_patch_rounds_large_whole_numbers_of_its_object() {
    let kustomization = "resources: [q.yaml]\npatches:\n- target: {kind: Queue}\n  patch: '[{op: add, path: /n, value: 9007199254740993}]'\n";
    let queue = format!("{QUEUE}old: 12345678901234567890\n");
    let files = [("kustomization.yaml", kustomization), ("q.yaml", queue.as_str())];
    assert!(yaml(&files).contains("\"n\": 9007199254740992\nold: 12345678901234567000\n"), "{}", yaml(&files));
}

#[test]
fn an_object_is_found_by_a_former_name_that_its_file_states() {
    let former = |kinds: &str| {
        format!(
            "apiVersion: v1\nkind: Foo\nmetadata:\n  name: new\n  annotations:\n    internal.config.kubernetes.io/previousNames: old\n    \
                 internal.config.kubernetes.io/previousNamespaces: default\n    internal.config.kubernetes.io/previousKinds: {kinds}\na: 1\nb: 2\n"
        )
    };
    let kustomization = "resources: [foo.yaml]\nreplacements:\n- source: {kind: Bar, name: old, fieldPath: a}\n  targets:\n  - select: {name: old}\n    fieldPaths: [b]\n";
    let object = former("Bar");
    let files = [("kustomization.yaml", kustomization), ("foo.yaml", object.as_str())];
    assert!(yaml(&files).contains("\nb: 1\n"), "{}", yaml(&files));
    let object = former("Bar,Foo");
    let message = failure(&[("kustomization.yaml", kustomization), ("foo.yaml", object.as_str())]);
    assert!(message.contains("foo.yaml:1:1: not a Kubernetes object: the annotations of previous names"), "{message}");
}

#[test]
fn hostile_files_are_one_error_whatever_field_names_them() {
    let deep = ["[".repeat(1_000_000), "{a: ".repeat(1_000_000), "- ".repeat(1_000_000), "? ".repeat(1_000_000)];
    let json = format!("{{\"definitions\": {}", "{\"a\":".repeat(1_000_000));
    let bomb = (1..15).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{items}]\n")
    });
    let mut hostile: Vec<Vec<u8>> = deep.into_iter().chain([json, bomb]).map(String::into_bytes).collect();
    hostile.extend([b"a: \xe9\n".to_vec(), b"\xff\xfea\0:\0 \x001\0".to_vec(), b"a: &a [*a]\n".to_vec()]);
    for field in [
        "resources: [q.yaml, x]",
        "resources: [q.yaml]\npatches: [{path: x}]",
        "resources: [q.yaml]\npatches: [{path: x, target: {kind: Queue}}]",
        "resources: [q.yaml]\npatchesStrategicMerge: [x]",
        "resources: [q.yaml]\npatchesJson6902: [{path: x, target: {version: v1, kind: Queue, name: q}}]",
        "resources: [q.yaml]\nopenapi: {path: x}",
        "resources: [q.yaml]\ncrds: [x]",
        "resources: [q.yaml]\nconfigurations: [x]",
        "resources: [q.yaml]\nreplacements: [{path: x}]",
        "resources: [q.yaml]\ntransformers: [x]",
        "resources: [q.yaml]\nvalidators: [x]",
        "resources: [q.yaml]\ngenerators: [x]",
    ] {
        for text in &hostile {
            let fs = MemoryFileSystem::new()
                .with("kustomization.yaml", format!("{field}\n"))
                .with("q.yaml", QUEUE)
                .with("x", text.clone());
            let error = render(&fs, &TreePath::root(), &Options::default());
            let message = error.expect_err("hostile").to_string();
            assert!(!message.contains('\n') && message.len() < 500 && message.contains('x'), "{field}: {message}");
        }
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let kustomization =
        format!("resources: [q.yaml]\nopenapi: {{path: types.yaml}}\ncommonLabels: {{a: b}}\n{QUEUE_PATCH}");
    let plain = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", QUEUE), ("types.yaml", QUEUE_TYPES)];
    let texts = plain.map(|(name, text)| (name, windows(text)));
    let marked = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
    assert_eq!(yaml(&marked), yaml(&plain));
}

/// Counts how often a file is read.
struct Counting(MemoryFileSystem, std::sync::atomic::AtomicUsize);

impl lapdev_kustomize::FileSystem for Counting {
    fn find(&self, path: &TreePath) -> std::io::Result<Option<lapdev_kustomize::Found>> {
        self.0.find(path)
    }

    fn read(&self, path: &TreePath) -> std::io::Result<Vec<u8>> {
        if path.as_str() == "base/q.yaml" {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        self.0.read(path)
    }

    fn list(&self, path: &TreePath) -> std::io::Result<Vec<String>> {
        self.0.list(path)
    }
}

#[test]
fn overlays_share_what_was_read_and_render_as_if_alone() {
    let mut fs =
        MemoryFileSystem::new().with("base/kustomization.yaml", "resources: [q.yaml]\n").with("base/q.yaml", QUEUE);
    for at in 0..10 {
        let overlay = format!("resources: [../base]\nnamePrefix: o{at}-\n{QUEUE_PATCH}");
        fs.insert(&format!("o{at}/kustomization.yaml"), overlay);
    }
    let fs = Counting(fs, std::sync::atomic::AtomicUsize::new(0));
    let renderer = lapdev_kustomize::Renderer::new(&fs, Options::default());
    for at in 0..10 {
        let path = TreePath::parse(&format!("o{at}")).expect("inside");
        let shared = renderer.render(&path).expect("renders");
        let alone = render(&fs.0, &path, &Options::default()).expect("renders");
        assert_eq!(to_yaml(&shared), to_yaml(&alone));
    }
    assert_eq!(fs.1.into_inner(), 1);
}
