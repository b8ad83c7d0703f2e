//! Corners of patches in which the reference does what one would not guess.

use super::{DEPLOYMENT, Files, failure, objects, yaml};
use serde_json::Value;

const LABELED: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {x: y}, annotations: {size: 10}}\ndata: {k: v}\n";

/// The config map after a patch that is given with its target, if any.
fn patched(target: &str, patch: &str) -> Value {
    let lines: String = patch.lines().map(|line| format!("    {line}\n")).collect();
    let kustomization = format!("resources: [a.yaml]\npatches:\n- {target}patch: |\n{lines}");
    let files: Files<'_> = &[("kustomization.yaml", &kustomization), ("a.yaml", LABELED)];
    objects(files)[0].value().clone()
}

const ANY: &str = "target: {kind: ConfigMap}\n  ";
const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: ";

#[test]
fn a_null_label_deletes_only_where_the_patch_has_no_target() {
    let patch = format!("{HEAD}{{x: null}}}}");
    assert_eq!(patched("", &patch)["metadata"]["labels"].get("x"), None);
    assert_eq!(patched(ANY, &patch)["metadata"]["labels"]["x"], "null");
    assert_eq!(patched(ANY, &format!("{HEAD}null}}"))["metadata"]["labels"]["x"], "y");
    assert_eq!(patched(ANY, &format!("{HEAD}{{n: 1.10}}}}"))["metadata"]["labels"]["n"], "1.10");
}

#[test]
fn replacing_a_whole_object_changes_nothing() {
    let patch = format!("{HEAD}{{x: z}}}}\n$patch: replace");
    assert_eq!(patched("", &patch)["metadata"]["labels"]["x"], "y");
}

#[test]
fn a_path_of_a_json_patch_begins_after_its_first_slash() {
    let value = patched(ANY, "- {op: add, path: data/other, value: 2020-01-01}");
    assert_eq!(value["other"], "2020-01-01", "and a moment stays as it is written");
    assert_eq!(value["data"]["other"], Value::Null);
}

#[test]
fn what_a_mapping_lacks_is_copied_as_null() {
    let value = patched(ANY, "- {op: copy, from: /data/none, path: /data/copy}");
    assert_eq!(value["data"].get("copy"), Some(&Value::Null));
    let files: Files<'_> = &[
        (
            "kustomization.yaml",
            "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: '- {op: copy, from: /none/k, path: /data/copy}'\n",
        ),
        ("a.yaml", LABELED),
    ];
    assert!(failure(files).contains("`none` does not exist"));
}

#[test]
fn targets_compare_numbers_and_fold_case() {
    for target in ["annotationSelector: size>9", "kind: (?i)configmap"] {
        let value = patched(&format!("target: {{{target}}}\n  "), "- {op: remove, path: /data/k}");
        assert_eq!(value["data"].get("k"), None, "{target}");
    }
    let value = patched("target: {annotationSelector: size>10}\n  ", "- {op: remove, path: /data/k}");
    assert_eq!(value["data"]["k"], "v");
}

#[test]
fn a_patch_has_no_other_options_than_the_two() {
    let files: Files<'_> = &[
        (
            "kustomization.yaml",
            "resources: [a.yaml]\npatches:\n- patch: '{}'\n  options: {allowNameChange: true, force: true}\n",
        ),
        ("a.yaml", LABELED),
    ];
    assert!(failure(files).contains("`force`"));
}

#[test]
fn the_older_json_patches_need_the_name_of_their_target() {
    let files = |target: &'static str| {
        format!(
            "resources: [a.yaml]\npatchesJson6902:\n- target: {target}\n  patch: '- {{op: add, path: /x, value: w}}'\n"
        )
    };
    let unnamed = files("{version: v1, kind: Deployment}");
    assert!(failure(&[("kustomization.yaml", &unnamed), ("a.yaml", DEPLOYMENT)]).contains("needs a `name`"));
    let named = files("{version: v1, kind: Deployment, name: web}");
    assert!(yaml(&[("kustomization.yaml", &named), ("a.yaml", DEPLOYMENT)]).ends_with("x: w\n"));
}

#[test]
fn a_number_takes_over_the_quotes_that_the_text_below_it_needs() {
    let base =
        "apiVersion: v1\nkind: Foo\nmetadata: {name: a}\nspec: {a: \"80\", b: \"true\", c: x, d: 1, e: {f: \"\"}}\n";
    let patch = "apiVersion: v1\nkind: Foo\nmetadata: {name: a}\nspec: {a: 0x50, b: False, c: 5, d: 2, e: {f: 1.0}}\n";
    let rendered = objects(&[
        ("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.yaml}]\n"),
        ("a.yaml", base),
        ("p.yaml", patch),
    ]);
    let spec = serde_json::json!({"a": "0x50", "b": "False", "c": 5, "d": 2, "e": {"f": "1.0"}});
    assert_eq!(rendered[0].value()["spec"], spec);
}

#[test]
fn a_merge_patch_may_begin_with_an_empty_document() {
    for (target, begin) in [("", "---\n# licence\n---\n"), (ANY, "null\n---\n"), ("", "---\n---\n")] {
        assert_eq!(patched(target, &format!("{begin}{HEAD}{{x: z}}}}\n"))["metadata"]["labels"]["x"], "z", "{begin}");
    }
}
