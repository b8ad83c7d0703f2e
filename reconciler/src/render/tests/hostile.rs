//! Manifests of no sensible shape: an error at most, never the end of the pass.

use super::*;
use proptest::prelude::*;

/// Every field of an object, as a pointer.
fn fields(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| fields(value, &format!("{at}/{}", key.replace('/', "~1")), into));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| fields(value, &format!("{at}/{index}"), into));
        }
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!("text"),
        json!(-1),
        json!(true),
        json!([]),
        json!(["text", null, 1, {}]),
        json!({}),
        json!({"a": "b"}),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_at_a_field_nothing_panics(
        object in any::<prop::sample::Index>(),
        field in any::<prop::sample::Index>(),
        put in anything(),
    ) {
        let mut objects = rendered(&tree("{LOG: debug}").with("mail.yaml", service("mail").replace("replicas: 3", "replicas: 4")));
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "out"},
            "spec": {"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]},
                "policyTypes": ["Egress"], "ingress": [{"from": [{"podSelector": {}}]}],
                "egress": [{"to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}}],
                    "ports": [{"port": 8000, "endPort": 9000}]}]},
        });
        objects.push(Sourced { value: policy, place: "policy.yaml:1:1".to_owned() });
        let broken = object.get(&objects).clone();
        let mut all = Vec::new();
        fields(&broken.value, "", &mut all);
        // The whole object is the kustomize renderer's matter, and so are its kind and name.
        let field = &all[1 + field.index(all.len() - 1)];
        let at = objects.iter().position(|one| *one == broken).expect("it is one of them");
        *objects[at].value.pointer_mut(field).expect("a field of it") = put;
        let _ = render_base(&objects, &[Override { workload: "web".to_owned(), replicas: Some(2), ..Override::default() }]);
        let mut case = Case::of(&["web", "mail", "queue"]);
        case.head = objects.clone();
        let _ = case.try_render();
        case.base = objects;
        let _ = case.try_render();
    }
}

#[test]
fn a_field_of_the_wrong_shape_is_named_with_its_place() {
    let refused = |yaml: &str| {
        let tree = MemoryFileSystem::new().with("a.yaml", yaml);
        render_base(&rendered(&tree), &[]).expect_err("refused").to_string()
    };
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: ";
    assert_eq!(
        refused(&format!("{deployment}{{template: {{spec: {{containers: [web]}}}}}}\n")),
        "a.yaml:1:1: Deployment d: spec.template.spec.containers must be a list of mappings"
    );
    assert_eq!(refused(&format!("{deployment}text\n")), "a.yaml:1:1: Deployment d: spec must be a mapping");
}
