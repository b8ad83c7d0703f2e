//! What a rendering yields, and how it fails, seen from outside: trees in, YAML or one error out.

mod fields;
mod generators;
mod helm;
mod hostile;
mod patches;
mod properties;
mod remote;
mod replacements;
mod scalars;
mod schemas;
mod seeds;
mod shared;
mod threads;

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

const QUEUE_TYPES: &str = "definitions:\n  Queue:\n    properties:\n      items:\n        type: array\n        x-kubernetes-patch-strategy: merge\n        x-kubernetes-patch-merge-key: id\n    x-kubernetes-group-version-kind:\n    - {group: e.com, version: v1, kind: Queue}\n";
const QUEUE: &str = "apiVersion: e.com/v1\nkind: Queue\nmetadata: {name: q}\nitems:\n- {id: a, x: 1}\n- {id: b}\n";
const QUEUE_PATCH: &str = "patches:\n- patch: |\n    apiVersion: e.com/v1\n    kind: Queue\n    metadata: {name: q}\n    items: [{id: a, y: 2}]\n";

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
fn the_order_of_the_files_is_kept_if_asked_and_the_kustomization_says_nothing() {
    let files = [("a.yaml", SERVICE), ("b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")];
    let first = |kustomization: &str| {
        let mut fs: MemoryFileSystem = files.into_iter().collect();
        fs.insert("kustomization.yaml", format!("resources: [a.yaml, b.yaml]\n{kustomization}"));
        let options = Options { keep_order: true, ..Options::default() };
        render(&fs, &TreePath::root(), &options).expect("it renders").swap_remove(0).kind().to_owned()
    };
    assert_eq!(first(""), "Service");
    assert_eq!(first("sortOptions: {order: legacy}\n"), "Namespace");
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
    ];
    for (files, expected) in cases {
        let found = failure(files);
        assert!(found.starts_with(expected), "expected {expected}\n   found {found}");
    }
}

#[test]
fn replacements_copy_a_value_and_variables_expand_one() {
    let kustomization = "resources: [d.yaml, s.yaml]\n\
        replacements:\n- source: {kind: Service, name: web, fieldPath: spec.ports.0.port}\n  \
        targets: [{select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.[name=proxy].port'], options: {create: true}}]\n\
        vars:\n- {name: NAME, objref: {apiVersion: v1, kind: Service, name: web}}\n\
        patches: [{target: {kind: Deployment}, patch: '- {op: add, path: /spec/template/spec/containers/0/args, value: [\"--host=$(NAME)\"]}'}]\n";
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
    let kustomization = "resources: [q.yaml]\npatches:\n- target: {kind: Queue}\n  patch: '- {op: add, path: /n, value: 9007199254740993}'\n";
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
