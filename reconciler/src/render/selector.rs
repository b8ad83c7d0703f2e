//! Kubernetes' label selectors, as the API server and network plugins read them: `matchLabels` and `matchExpressions`.

use serde_json::{Map, Value};

/// The labels of a pod.
pub(super) type Labels = Map<String, Value>;

/// Whether a label selector selects these labels. An empty one selects everything; a missing one is the caller's matter.
pub(super) fn selects(selector: &Value, labels: &Labels) -> bool {
    let equal = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().flatten().all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: &Labels) -> bool {
    let value = expression.get("key").and_then(Value::as_str).and_then(|key| labels.get(key));
    let listed = || value.is_some_and(|value| list(expression).contains(value));
    match expression.get("operator").and_then(Value::as_str) {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        // The API server refuses any other.
        _ => false,
    }
}

fn list(expression: &Value) -> &[Value] {
    expression.get("values").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Adds to a selector that `label` must be absent.
pub(super) fn exclude(selector: &mut Value, label: &str) {
    if !selector.is_object() {
        *selector = Value::Object(Map::new());
    }
    let expression = serde_json::json!({ "key": label, "operator": "DoesNotExist" });
    match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        Some(expressions) => expressions.push(expression),
        None => selector["matchExpressions"] = Value::Array(vec![expression]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_selected(selector: &Value, labels: &Value) -> bool {
        selects(selector, labels.as_object().expect("a mapping"))
    }

    #[test]
    fn every_operator_means_what_kubernetes_says() {
        let expression = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        let (web, none) = (json!({"app": "web"}), json!({"tier": "x"}));
        for (selector, with, without) in [
            (json!({}), true, true),
            (json!({"matchLabels": {"app": "web"}}), true, false),
            (expression("In", json!(["web", "api"])), true, false),
            (expression("NotIn", json!(["web"])), false, true),
            (expression("NotIn", json!(["api"])), true, true),
            (expression("Exists", json!([])), true, false),
            (expression("DoesNotExist", json!([])), false, true),
        ] {
            assert_eq!((is_selected(&selector, &web), is_selected(&selector, &none)), (with, without), "{selector}");
        }
        let both = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]});
        assert!(!is_selected(&both, &web), "all of it must hold");
    }

    #[test]
    fn what_is_excluded_is_selected_no_more_and_all_else_as_before() {
        for mut selector in
            [json!(null), json!({}), json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})]
        {
            exclude(&mut selector, "r");
            assert!(!is_selected(&selector, &json!({"app": "web", "r": "true"})), "{selector}");
            assert!(is_selected(&selector, &json!({"app": "web"})), "{selector}");
        }
    }
}
