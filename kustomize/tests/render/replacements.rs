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

/// The text of a config map after the value `new` was copied to a path inside of it.
fn inside(path: &str, text: &str) -> Result<String, String> {
    let kustomization = format!(
        "resources: [a.yaml]\nreplacements:\n- sourceValue: new\n  targets:\n  - select: {{kind: ConfigMap}}\n    fieldPaths: ['data.a\\.b.{path}']\n"
    );
    let text: String = text.lines().map(|line| format!("    {line}\n")).collect();
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  a.b: |\n{text}");
    let files = [("kustomization.yaml", kustomization.as_str()), ("a.yaml", map.as_str())];
    let made = super::objects_at("", &files).map_err(|error| error.to_string())?;
    Ok(made[0].value()["data"]["a.b"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_path_leads_on_into_a_text_that_is_yaml_or_json() {
    let yaml = "scrape:\n    - job: \"x\"   \n      every: 15s\nrules: ['a', b]";
    assert_eq!(
        inside("scrape.[job=x].every", yaml).as_deref(),
        Ok("scrape:\n- job: \"x\"\n  every: new\nrules: ['a', b]")
    );
    assert_eq!(inside("b.1", "{\"b\": [1, \"<\"], \"a\": 1.0}").as_deref(), Ok("{\"a\":1,\"b\":[1,\"new\"]}"));
    assert_eq!(
        inside("a", "{\n  \"b\": [],\n  \"a\": \"x\"\n}").as_deref(),
        Ok("{\n  \"a\": \"new\",\n  \"b\": []\n}")
    );
}

#[test]
fn a_text_that_leads_nowhere_or_would_lose_something_is_an_error() {
    assert!(inside("none.x", "a: 1").is_err_and(|why| why.contains("a mapping was expected")));
    assert!(inside("x.y", "just text").is_err());
    assert!(inside("a", "a: x # why").is_err_and(|why| why.contains("comments")));
}

#[test]
fn a_file_of_replacements_may_say_more_and_an_empty_text_is_a_value() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n";
    let file =
        "kind: Replacement\nsourceValue: \"\"\ntargets: [{select: {kind: ConfigMap, why: so}, fieldPaths: [data.x]}]\n";
    let said = "resources: [a.yaml]\nreplacements: [{path: r.yaml}]\n";
    let files = [("kustomization.yaml", said), ("a.yaml", map), ("r.yaml", file)];
    assert_eq!(objects(&files)[0].value()["data"], json!({"x": ""}));
    let strict = format!("resources: [a.yaml]\nreplacements:\n- {}", file.replace('\n', "\n  "));
    let message = failure(&[("kustomization.yaml", &strict), ("a.yaml", map)]);
    assert!(message.contains("unknown field `kind`"), "{message}");
}
