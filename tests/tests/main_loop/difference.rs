//! What differs between two dumps, in as few words as lead to the cause.

use lapdev_tests::stage::{Error, within};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A normalised dump.
pub type Dump = BTreeMap<String, Value>;

/// `Err` with every difference.
pub fn same(seen: &Dump, wanted: &Dump) -> Result<(), Error> {
    let names: BTreeSet<_> = seen.keys().chain(wanted.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (seen.get(name), wanted.get(name)) {
            (Some(_), None) => found.push(format!("{name} should not be there")),
            (None, _) => found.push(format!("{name} is missing")),
            (Some(seen), Some(wanted)) => values(name, seen, wanted, &mut found),
        }
    }
    within(found.is_empty(), format!("the cluster differs from what is wanted:\n  {}", found.join("\n  ")))
}

fn values(place: &str, seen: &Value, wanted: &Value, found: &mut Vec<String>) {
    match (seen, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let none = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                values(&format!("{place} {key}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                values(&format!("{place} [{at}]"), a, b, found);
            }
        }
        _ if seen != wanted => found.push(format!("{place}: {seen}, wanted {wanted}")),
        _ => {}
    }
}

#[test]
fn every_difference_is_named() {
    let dump = |value: Value| Dump::from([("Deployment/n/web".to_owned(), value)]);
    let one = dump(serde_json::json!({"spec": {"replicas": 1, "list": [1, 2]}}));
    let two = dump(serde_json::json!({"spec": {"replicas": 2, "list": [1, 3]}, "new": 1}));
    assert!(same(&one, &one).is_ok());
    let error = same(&one, &two).expect_err("they differ").to_string();
    for part in ["Deployment/n/web spec replicas: 1, wanted 2", "spec list [1]: 2, wanted 3", "new: null, wanted 1"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(same(&one, &Dump::new()).expect_err("more").to_string().contains("should not be there"));
    assert!(same(&Dump::new(), &one).expect_err("less").to_string().contains("is missing"));
}
