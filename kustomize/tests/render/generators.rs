//! Generated objects that merge into ones that are there.

use super::{failure, objects};
use serde_json::json;

const MERGE: &str = "resources: [a.yaml]\nconfigMapGenerator:\n- {name: a, behavior: merge, literals: [new=1]}\n";

#[test]
fn merged_data_is_text_as_it_was_written() {
    let made = objects(&[
        ("kustomization.yaml", MERGE),
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {n: 1}}\ndata: {port: 8080, version: 1.10, on: true, none: null}\n",
        ),
    ]);
    let value = made[0].value();
    assert_eq!(value["data"], json!({"new": "1", "port": "8080", "version": "1.10", "on": "true", "none": ""}));
    assert_eq!(value["metadata"]["labels"], json!({"n": "1"}));
}

const SECRET: &str = "resources: [a.yaml]\nsecretGenerator:\n- {name: a, behavior: merge, literals: [new=1]}\n";

#[test]
fn merging_into_a_secret_encodes_what_stands_there_in_plain_text() {
    let made = objects(&[
        ("kustomization.yaml", SECRET),
        (
            "a.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {old: YQ==}\nstringData: {plain: b, new: 2}\n",
        ),
    ]);
    assert_eq!(made[0].value()["data"], json!({"new": "MQ==", "old": "YQ==", "plain": "Yg=="}));
    assert_eq!(made[0].value().get("stringData"), None);
    let list = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {plain: [b]}\n";
    assert!(failure(&[("kustomization.yaml", SECRET), ("a.yaml", list)]).contains("`stringData.plain`"));
}
