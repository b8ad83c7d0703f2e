//! Which type a value has where a replacement puts it.

use super::{failure, objects};
use serde_json::{Value, json};

/// The field `v` of the target after the field `v` of the source was copied there.
fn copied(source: &str, target: &str, options: &str) -> Value {
    let all = format!(
        "apiVersion: e.com/v1\nkind: From\nmetadata: {{name: a}}\nv: {source}\n---\napiVersion: e.com/v1\nkind: To\nmetadata: {{name: b}}\n{target}\n"
    );
    objects(&[("kustomization.yaml", &kustomization(options)), ("a.yaml", &all)])[1].value()["v"].clone()
}

fn kustomization(options: &str) -> String {
    format!(
        "resources: [a.yaml]\nreplacements:\n- source: {{kind: From, fieldPath: v}}\n  targets:\n  - select: {{kind: To}}\n    fieldPaths: [v]\n    options: {{{options}}}\n"
    )
}

#[test]
fn a_field_keeps_its_type_and_takes_the_text_as_it_was_written() {
    assert_eq!(copied("1.10", "v: text", ""), json!("1.10"));
    assert_eq!(copied("0x10", "v: 1", ""), json!(16));
    assert_eq!(copied("2020-01-01", "v: text", ""), json!("2020-01-01"));
    assert_eq!(copied("{a: b}", "v: text", ""), json!(""));
    assert_eq!(copied("\"8080\"", "v: {a: b}", ""), json!("8080"));
}

#[test]
fn a_field_that_is_made_has_the_type_that_the_text_reads_as() {
    assert_eq!(copied("\"8080\"", "w: 1", "create: true"), json!(8080));
    assert_eq!(copied("\"yes\"", "w: 1", "create: true"), json!("yes"));
    assert_eq!(copied("\"a.7\"", "w: 1", "create: true, delimiter: ., index: 5"), json!(".a.7"));
}

#[test]
fn a_text_that_does_not_fit_the_type_is_an_error() {
    for (source, target) in [("text", "v: 1"), ("1.5", "v: 1"), ("true", "v: null"), ("[a]", "v: true")] {
        let all = format!(
            "apiVersion: e.com/v1\nkind: From\nmetadata: {{name: a}}\nv: {source}\n---\napiVersion: e.com/v1\nkind: To\nmetadata: {{name: b}}\n{target}\n"
        );
        let message = failure(&[("kustomization.yaml", &kustomization("")), ("a.yaml", &all)]);
        assert!(message.contains("does not fit the type"), "{source}: {message}");
    }
}

#[test]
fn a_dash_is_no_place_behind_a_list() {
    let all = "apiVersion: e.com/v1\nkind: From\nmetadata: {name: a}\nv: x\n---\napiVersion: e.com/v1\nkind: To\nmetadata: {name: b}\nv: [y]\n";
    let kustomization = kustomization("create: true").replace("[v]", "[v.-]");
    assert!(failure(&[("kustomization.yaml", &kustomization), ("a.yaml", all)]).contains("mapping was expected"));
}
