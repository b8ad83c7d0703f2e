//! Every field that is known to hold a name follows when the named object is called otherwise.

use crate::field_spec::{FieldSpec, FieldSpecs, NameReference};
use crate::{MemoryFileSystem, Object, Options, TreePath, render};
use serde_json::{Value, json};

/// Types that no prefix changes.
const KEPT: [&str; 3] = ["CustomResourceDefinition", "APIService", "Namespace"];

fn api_version(group: &str, version: &str) -> String {
    let version = if version.is_empty() { "v1" } else { version };
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// An object with the text where the field spec leads.
fn referrer(spec: &FieldSpec, target: &NameReference, text: &str) -> Value {
    let kind = if spec.kind.is_empty() { "Anything" } else { &*spec.kind };
    let mut object =
        json!({"apiVersion": api_version(&spec.group, &spec.version), "kind": kind, "metadata": {"name": "referrer"}});
    let mut at = &mut object;
    for part in steps(spec) {
        at = &mut at[part];
    }
    *at = json!(text);
    if spec.path.ends_with("roleRef/name") {
        object["roleRef"]["apiGroup"] = json!(target.group);
        object["roleRef"]["kind"] = json!(target.kind);
    }
    object
}

/// Fields from the outside in; lists are left out, which a path passes through.
fn steps(spec: &FieldSpec) -> Vec<String> {
    let escaped = spec.path.replace("\\/", "\0");
    escaped.split('/').map(|part| part.trim_end_matches("[]").replace('\0', "/")).collect()
}

fn rendered(kustomization: &str, objects: &[Value]) -> Vec<Object> {
    let list = json!({"kind": "List", "items": objects}).to_string();
    let fs = MemoryFileSystem::new()
        .with("kustomization.yaml", format!("resources: [all.yaml]\nsortOptions: {{order: fifo}}\n{kustomization}"))
        .with("all.yaml", list);
    render(&fs, &TreePath::root(), &Options::default()).expect("the objects render")
}

fn value_at<'v>(object: &'v Object, spec: &FieldSpec) -> Option<&'v Value> {
    steps(spec).iter().try_fold(object.value(), |value, part| value.get(part))
}

#[test]
fn every_built_in_reference_follows_the_name_of_its_object() {
    let specs = FieldSpecs::built_in();
    let mut followed = 0;
    // The reference's row for ingress classes has a version in its group, so that it never selects anything.
    for target in specs.name_references.iter().filter(|target| !target.group.contains('/')) {
        let named = json!({
            "apiVersion": api_version(&target.group, &target.version), "kind": target.kind, "metadata": {"name": "x"},
        });
        for spec in target.referrers.iter().filter(|spec| !spec.path.contains("[]")) {
            let objects = [named.clone(), referrer(spec, target, "x"), referrer(spec, target, "y")];
            for (kustomization, expected) in
                [("namePrefix: p-\n", "p-x"), ("namePrefix: p-\nnameSuffix: -s\n", "p-x-s")]
            {
                let rendered = rendered(kustomization, &objects[..2]);
                let found = value_at(&rendered[1], spec).and_then(Value::as_str);
                let expected = if KEPT.contains(&&*target.kind) { "x" } else { expected };
                assert_eq!(rendered[0].name(), expected, "{}", target.kind);
                assert_eq!(found, Some(expected), "{} in {} {}", target.kind, spec.kind, spec.path);
                followed += 1;
            }
            // The name of something else stays.
            let rendered = rendered("namePrefix: p-\n", &[named.clone(), objects[2].clone()]);
            assert_eq!(value_at(&rendered[1], spec).and_then(Value::as_str), Some("y"), "{} {}", spec.kind, spec.path);
        }
    }
    assert!(followed > 300, "the table has shrunk to {followed} halves");
}
