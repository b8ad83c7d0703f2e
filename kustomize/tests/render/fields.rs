//! Fields of a kustomization and the field specs behind them, where the reference has its own mind.

use super::{DEPLOYMENT, failure, objects, yaml};

const THREE: &str = "\
apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}
---
apiVersion: v1\nkind: Secret\nmetadata: {name: b}
---
apiVersion: v1\nkind: Namespace\nmetadata: {name: c}
";

fn names(files: super::Files<'_>) -> Vec<String> {
    objects(files).iter().map(|object| object.name().to_owned()).collect()
}

#[test]
fn a_field_spec_for_one_kind_stands_in_for_the_built_in_one_of_all() {
    let kustomization = ("kustomization.yaml", "resources: [a.yaml]\nnamePrefix: p-\nconfigurations: [c.yaml]\n");
    let names = |specs: &str| names(&[kustomization, ("a.yaml", THREE), ("c.yaml", specs)]);
    assert_eq!(names("namePrefix:\n- {path: metadata/name, kind: Secret}\n"), ["c", "a", "p-b"]);
    assert_eq!(names("namePrefix:\n- {path: metadata/other, kind: Secret}\n"), ["c", "p-a", "p-b"]);
}

#[test]
fn the_field_specs_of_a_component_count_for_its_parent() {
    let files = [
        ("kustomization.yaml", "resources: [a.yaml]\ncomponents: [c]\nnamePrefix: p-\n"),
        ("a.yaml", THREE),
        ("c/kustomization.yaml", "kind: Component\nconfigurations: [c.yaml]\n"),
        ("c/c.yaml", "namePrefix:\n- {path: metadata/name, kind: Secret}\n"),
    ];
    assert_eq!(names(&files), ["c", "a", "p-b"]);
}

#[test]
fn a_namespace_without_a_rank_is_sorted_by_its_type() {
    let order = "sortOptions: {order: legacy, legacySortOptions: {orderFirst: [Secret]}}\n";
    let kustomization = format!("resources: [a.yaml]\n{order}");
    assert_eq!(names(&[("kustomization.yaml", &kustomization), ("a.yaml", THREE)]), ["b", "a", "c"]);
}

#[test]
fn an_image_name_that_is_no_expression_matches_nothing() {
    let text = yaml(&[
        ("kustomization.yaml", "resources: [a.yaml]\nimages: [{name: '[', newTag: v2}, {name: proxy, newTag: v2}]\n"),
        ("a.yaml", DEPLOYMENT),
    ]);
    assert!(text.contains("image: web:v1") && text.contains("image: proxy:v2"), "{text}");
}

#[test]
fn images_of_volumes_change_in_cron_jobs_too() {
    let job = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {spec: {volumes: [{name: v, image: {reference: data}}]}}}}}\n";
    let text =
        yaml(&[("kustomization.yaml", "resources: [a.yaml]\nimages: [{name: data, newTag: v2}]\n"), ("a.yaml", job)]);
    assert!(text.contains("reference: data:v2"), "{text}");
}

#[test]
fn a_plugin_is_noted_with_its_namespace() {
    let text = yaml(&[
        (
            "kustomization.yaml",
            "resources: [a.yaml]\ntransformers: [t.yaml]\nbuildMetadata: [transformerAnnotations]\n",
        ),
        ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        ("t.yaml", "apiVersion: builtin\nkind: NamespaceTransformer\nmetadata: {name: t, namespace: shop}\n"),
    ]);
    assert!(text.contains("          name: t\n          namespace: shop\n"), "{text}");
}

#[test]
fn a_role_binding_says_the_namespace_of_an_account_or_leaves_it_out() {
    let binding = |namespace: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: a}}\nsubjects:\n- {{kind: ServiceAccount, name: b{namespace}}}\n"
        )
    };
    let kustomization = ("kustomization.yaml", "resources: [a.yaml]\n");
    assert!(failure(&[kustomization, ("a.yaml", &binding(", namespace:"))]).contains("fill it in"));
    assert!(yaml(&[kustomization, ("a.yaml", &binding(""))]).contains("name: b\n"));
}

#[test]
fn annotations_are_strings_as_they_were_written() {
    let text = yaml(&[
        ("kustomization.yaml", "resources: [a.yaml]\ncommonAnnotations: {day: 2020-01-01}\n"),
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {version: 1.10, mode: 0644, date: 2021-01-01, none: ~, empty: }\n",
        ),
    ]);
    for line in [
        "day: \"2020-01-01\"",
        "version: \"1.10\"",
        "mode: \"0644\"",
        "date: \"2021-01-01\"",
        "none: \"~\"",
        "empty: \"\"",
    ] {
        assert!(text.contains(&format!("    {line}\n")), "{line} in {text}");
    }
}
