//! Scalars that change on their way through the reference, which writes objects as text and reads them again.

use super::{failure, objects, yaml};
use serde_json::{Value, json};

/// The field `spec` of an object whose text for it is given.
fn spec(text: &str, more: &str) -> Value {
    let kustomization = format!("resources: [a.yaml]\n{more}");
    let object = format!("apiVersion: e.com/v1\nkind: Any\nmetadata: {{name: a}}\nspec:\n{text}\n");
    objects(&[("kustomization.yaml", &kustomization), ("a.yaml", &object)])[0].value()["spec"].clone()
}

#[test]
fn lines_that_a_folded_text_indents_further_move_apart() {
    assert_eq!(spec("  v: >-\n    a\n      b\n    c\n", ""), json!({"v": "a\n\n  b\nc"}));
    assert_eq!(spec("  v: >+\n    a\n\n\n", ""), json!({"v": "a\n\n\n\n\n"}));
    assert_eq!(spec("  v: >\n    a\n    b\n\n    c\n", ""), json!({"v": "a b\nc\n"}));
    assert_eq!(spec("  v: |-\n    a\n      b\n    c\n", ""), json!({"v": "a\n  b\nc"}));
}

#[test]
fn nothing_between_braces_is_an_empty_text_unless_a_patch_comes_by() {
    assert_eq!(spec("  {a: , b: {c: }}", ""), json!({"a": "", "b": {"c": ""}}));
    assert_eq!(spec("  a:\n  b: {c: ~}", ""), json!({"a": null, "b": {"c": null}}));
    let patch = "patches:\n- patch: |\n    apiVersion: e.com/v1\n    kind: Any\n    metadata: {name: a}\n    spec: {d: {e: }}\n";
    assert_eq!(spec("  {a: , b: 1}", patch), json!({"b": 1, "d": {}}));
}

#[test]
fn a_number_too_large_for_one_is_text() {
    assert_eq!(spec("  v: 1e400", ""), json!({"v": "1e400"}));
}

#[test]
fn a_number_can_be_a_name() {
    let text = yaml(&[
        ("kustomization.yaml", "resources: [a.yaml]\nnamePrefix: p-\n"),
        ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 007, namespace: 5}\n"),
    ]);
    assert!(text.contains("name: p-007\n  namespace: \"5\"\n"), "{text}");
}

#[test]
fn the_white_space_around_a_patch_in_place_does_not_count() {
    let patch = "patches:\n- patch: |\n    apiVersion: e.com/v1\n    kind: Any\n    metadata: {name: a}\n    spec:\n      v: |\n        text\n";
    assert_eq!(spec("  v: x", patch), json!({"v": "text"}));
}

#[test]
fn a_patch_that_begins_as_a_json_list_must_be_json() {
    let files =
        |patch: &str| format!("resources: [a.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: '{patch}'\n");
    let map = ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    let loose = files("[{op: add, path: /x, value: 1}]");
    assert!(failure(&[("kustomization.yaml", &loose), map]).contains("not valid JSON"));
    let strict = files(r#"[{"op": "add", "path": "/x", "value": 1}]"#);
    assert!(yaml(&[("kustomization.yaml", &strict), map]).ends_with("x: 1\n"));
}
