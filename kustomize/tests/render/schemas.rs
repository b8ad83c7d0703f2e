//! Kinds that are not built in: what `openapi`, `crds`, `configurations` and comments teach of them.

use super::*;

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

/// A custom kind whose `items` merge by `id`.

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
fn a_schema_in_a_comment_says_how_a_list_merges() {
    let object = "apiVersion: e.com/v1\nkind: Queue\nmetadata: {name: q}\nitems: # \
         {\"type\":\"array\",\"x-kubernetes-patch-strategy\":\"merge\",\"x-kubernetes-patch-merge-key\":\"id\"}\n\
         - {id: a, x: 1}\n";
    let kustomization = format!("resources: [q.yaml]\n{QUEUE_PATCH}");
    let files = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", object)];
    assert!(yaml(&files).contains("- id: a\n  x: 1\n  \"y\": 2\n"), "{}", yaml(&files));
}

#[test]
fn a_schema_in_a_comment_inside_of_a_list_stays_with_its_element() {
    let merge = |key: &str| {
        format!(
            "{{\"type\":\"array\",\"x-kubernetes-patch-strategy\":\"merge\",\"x-kubernetes-patch-merge-key\":\"{key}\"}}"
        )
    };
    let object = format!(
        "apiVersion: e.com/v1\nkind: Queue\nmetadata: {{name: q}}\ngroups: # {}\n- name: a\n  items:\n  - {{id: x, v: 1}}\n\
         - name: b\n  items: # {}\n  - {{id: x, v: 1}}\n",
        merge("name"),
        merge("id")
    );
    let patch = |name: &str, id: &str| {
        format!(
            "- patch: |\n    apiVersion: e.com/v1\n    kind: Queue\n    metadata: {{name: q}}\n    \
             groups: [{{name: {name}, items: [{{id: {id}, w: 2}}]}}]\n"
        )
    };
    // The first one puts an element in front of both.
    let patches = [patch("new", "n"), patch("a", "x"), patch("b", "x")].concat();
    let kustomization = format!("resources: [q.yaml]\npatches:\n{patches}");
    let text = yaml(&[("kustomization.yaml", kustomization.as_str()), ("q.yaml", object.as_str())]);
    let (a, b) = ("- items:\n  - id: x\n    w: 2\n  name: a\n", "- items:\n  - id: x\n    v: 1\n    w: 2\n  name: b\n");
    assert!(text.contains(a) && text.contains(b), "{text}");
}

#[test]
fn the_paths_of_an_openapi_document_say_which_custom_kinds_have_no_namespace() {
    let get = |path: &str, kind: &str| {
        format!("  {path}: {{get: {{x-kubernetes-group-version-kind: {{group: e.com, version: v1, kind: {kind}}}}}}}\n")
    };
    let document = format!(
        "definitions: {{}}\npaths:\n{}{}{}{}",
        get("/apis/e.com/v1/planets/{name}", "Planet"),
        get("/apis/e.com/v1/moons", "Moon"),
        get("/apis/e.com/v1/namespaces/{namespace}/moons/{name}", "Moon"),
        "  /odd: {get: {x-kubernetes-group-version-kind: [{version: v1, kind: Comet}]}}\n",
    );
    let object = |kind: &str| format!("apiVersion: e.com/v1\nkind: {kind}\nmetadata: {{name: a}}\n---\n");
    let objects = ["Planet", "Moon", "Comet"].map(object).concat();
    let text = yaml(&[
        ("kustomization.yaml", "resources: [all.yaml]\nnamespace: ns\nopenapi: {path: types.yaml}\n"),
        ("types.yaml", document.as_str()),
        ("all.yaml", objects.as_str()),
    ]);
    let found: Vec<bool> = text.split("---\n").map(|document| document.contains("namespace: ns")).collect();
    assert_eq!(
        (found, text.contains("kind: Planet\nmetadata:\n  name: a\n")),
        (vec![true, true, false], true),
        "{text}"
    );
}

#[test]
fn a_custom_resource_definition_is_no_document_of_crds() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: bees.e.com}\n";
    let message = failure(&[("kustomization.yaml", "crds: [crd.yaml]\nresources: [crd.yaml]\n"), ("crd.yaml", crd)]);
    assert!(
        message.contains("`apiVersion` is no definition of a type; a CustomResourceDefinition belongs"),
        "{message}"
    );
}
