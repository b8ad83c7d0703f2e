//! What holds for any tree that a small grammar can write: rendering what was rendered, patches
//! that say nothing, orders of entries, threads, and scalars written and read.

use super::*;
use lapdev_kustomize::{FileSystem, Found, Renderer};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KUSTOMIZATION: &str = "kustomization.yaml";

/// Names that could be a person's, some of them inside of others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("web".to_owned()), Just("a".to_owned()), "[a-z]([-a-z0-9]{0,10}[a-z0-9])?"]
}

/// Text that looks like something else.
const WORDS: &[&str] =
    &["", "yes", "null", "~", "0644", "1e3", ".inf", "1:20", "2001-01-01", "<<", "=", "a: b", "- x", "#", "%"];

/// Text of every kind: what looks like other types, line ends, indicators, any character.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(WORDS).prop_map(str::to_owned),
        "[ -~]{0,120}",
        "[ a\\n\\t:#'\"-]{0,12}",
        "(word ){0,40}",
        any::<String>(),
    ]
}

/// Any key but one: the reference writes `<<` without quotes, and cannot read it then.
fn key() -> impl Strategy<Value = String> {
    text().prop_filter("a merge key", |text| text != "<<")
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z]{1,8}", text(), 0..3)
}

/// Any JSON of a few levels.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A workload that uses a config map, a secret, a service account and a service, all of one name.
fn workload(name: &str, used: &str, text: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "annotations": {"note": text}},
        "spec": {
            "serviceName": used,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {
                "serviceAccountName": used,
                "containers": [{
                    "name": "main", "image": format!("{name}:v1"), "args": [text, "$(HERE)"],
                    "envFrom": [{"configMapRef": {"name": used}}, {"secretRef": {"name": used}}],
                }],
            }},
        },
    })
}

fn used(name: &str) -> Vec<Value> {
    let of = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    ["ConfigMap", "Secret", "ServiceAccount", "Service"].into_iter().map(of).collect()
}

prop_compose! {
    /// A base and an overlay that changes all of it in most of the ways there are.
    fn tree()(
        names in btree_map(name(), (name(), text()), 1..4), generated in pairs(), labels in pairs(), annotations in pairs(),
        affixes in ("([a-z]{1,4}-)?", "(-[a-z]{1,4})?"), namespace in proptest::option::of(name()), tag in "[a-z0-9]{1,6}",
        fifo in any::<bool>(), reach in any::<bool>(),
    ) -> Vec<(String, String)> {
        let mut objects: Vec<Value> = Vec::new();
        for used_name in names.values().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>() {
            objects.extend(used(used_name));
        }
        objects.extend(names.iter().map(|(name, (used, text))| workload(name, used, text)));
        let labels: BTreeMap<&String, String> = labels.keys().map(|key| (key, format!("l{}", key.len()))).collect();
        let literals: Vec<String> = generated.iter().map(|(key, value)| format!("{key}={}", value.replace('\n', " "))).collect();
        let mut overlay = json!({
            "resources": ["base"], "namePrefix": affixes.0, "nameSuffix": affixes.1,
            "labels": [{"pairs": labels, "includeSelectors": reach}], "commonAnnotations": annotations,
            "images": [{"name": "web", "newTag": tag}],
            "patches": [{"target": {"kind": "StatefulSet"}, "patch": "- {op: add, path: /spec/replicas, value: 2}"}],
            "sortOptions": {"order": if fifo { "fifo" } else { "legacy" }},
        });
        if let Some(namespace) = namespace {
            overlay["namespace"] = json!(namespace);
        }
        let base = json!({
            "resources": ["all.yaml"], "configMapGenerator": [{"name": "generated", "literals": literals}],
        });
        vec![
            (KUSTOMIZATION.to_owned(), overlay.to_string()),
            (format!("base/{KUSTOMIZATION}"), base.to_string()),
            ("base/all.yaml".to_owned(), json!({"kind": "List", "items": objects}).to_string()),
        ]
    }
}

fn in_memory(files: &[(String, String)]) -> MemoryFileSystem {
    files.iter().map(|(path, text)| (path, text.as_str())).collect()
}

fn rendered(fs: &dyn FileSystem) -> Result<String, TestCaseError> {
    let objects = render(fs, &TreePath::root(), &Options::default());
    objects.map(|objects| to_yaml(&objects)).map_err(|error| TestCaseError::fail(error.to_string()))
}

/// Objects as a kustomization that changes nothing, or does what the text says.
fn of(objects: &str, more: &str) -> MemoryFileSystem {
    let kustomization = format!("resources: [all.yaml]\nsortOptions: {{order: fifo}}\n{more}");
    MemoryFileSystem::new().with(KUSTOMIZATION, kustomization).with("all.yaml", objects)
}

/// Lists its directories in an order of its own.
struct Shuffled(MemoryFileSystem, u64);

impl FileSystem for Shuffled {
    fn find(&self, path: &TreePath) -> std::io::Result<Option<Found>> {
        self.0.find(path)
    }

    fn read(&self, path: &TreePath) -> std::io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn list(&self, path: &TreePath) -> std::io::Result<Vec<String>> {
        let mut names = self.0.list(path)?;
        // Any fixed disorder will do: each name's place is a product with an odd number.
        names.sort_by_key(|name| {
            name.bytes().fold(self.1, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(self.1 | 1))
        });
        Ok(names)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_rendered_renders_to_itself(files in tree()) {
        let once = rendered(&in_memory(&files))?;
        prop_assert_eq!(&rendered(&of(&once, ""))?, &once);
    }

    #[test]
    fn a_patch_that_changes_nothing_changes_nothing(files in tree()) {
        let once = rendered(&in_memory(&files))?;
        for document in documents(&once) {
            let object: Value = load_one(document)?;
            let (kind, name) = (object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default());
            let itself = json!([{"patch": document}]);
            let nothing = json!([{"target": {"kind": kind, "name": name}, "patch": format!("kind: {kind}\nmetadata: {{name: {name:?}}}\n")}]);
            // `metadata` has annotations while a JSON patch runs, as in the reference.
            let fields = object.as_object().into_iter().flatten().filter(|(key, _)| *key != "metadata");
            let test = |(key, value): (&String, &Value)| json!({"op": "test", "path": format!("/{key}"), "value": value});
            let tests: Vec<Value> = fields.map(test).collect();
            let tests = json!([{"target": {"kind": kind, "name": name}, "patch": json!(tests).to_string()}]);
            for patches in [itself, nothing, tests] {
                prop_assert_eq!(&rendered(&of(&once, &format!("patches: {patches}\n")))?, &once);
            }
        }
    }

    #[test]
    fn a_reference_follows_a_prefix_and_a_suffix(name in name(), user in name(), other in name(), prefix in "[a-z]{1,5}-", suffix in "-[a-z]{1,5}") {
        prop_assume!(name != other);
        let mut objects = used(&name);
        objects.push(workload(&user, &name, ""));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": user}, "spec": {"serviceAccountName": other}}));
        let text = json!({"kind": "List", "items": objects}).to_string();
        let text = rendered(&of(&text, &format!("namePrefix: {prefix}\nnameSuffix: {suffix}\n")))?;
        let fs = MemoryFileSystem::new().with("all.yaml", text);
        let objects = load_manifests(&fs, &TreePath::root(), &Options::default()).expect("was rendered");
        let new = format!("{prefix}{name}{suffix}");
        let workload = objects.iter().find(|object| object.kind() == "StatefulSet").expect("is there");
        let at = |path: &str| workload.value().pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        prop_assert_eq!(at("/spec/serviceName"), new.clone());
        prop_assert_eq!(at("/spec/template/spec/serviceAccountName"), new.clone());
        prop_assert_eq!(at("/spec/template/spec/containers/0/envFrom/0/configMapRef/name"), new.clone());
        prop_assert_eq!(at("/spec/template/spec/containers/0/envFrom/1/secretRef/name"), new);
        let pod = objects.iter().find(|object| object.kind() == "Pod").expect("is there");
        prop_assert_eq!(&pod.value()["spec"]["serviceAccountName"], &json!(other), "what nobody has stays");
    }

    #[test]
    fn any_order_of_entries_and_any_threads_give_the_same_bytes(files in tree(), seed in any::<u64>()) {
        let fs = in_memory(&files);
        let once = rendered(&fs)?;
        prop_assert_eq!(&rendered(&Shuffled(fs.clone(), seed))?, &once);
        // A folder of plain manifests depends on the listing.
        let plain: MemoryFileSystem = documents(&once).enumerate().map(|(at, text)| (format!("{at}.yaml"), text)).collect();
        let load = |fs: &dyn FileSystem| load_manifests(fs, &TreePath::root(), &Options::default()).map(|objects| to_yaml(&objects));
        prop_assert_eq!(load(&Shuffled(plain.clone(), seed)).ok(), load(&plain).ok());
        let in_threads: Vec<String> = std::thread::scope(|scope| {
            let alone = || scope.spawn(|| rendered(&fs).unwrap_or_default());
            let shared = || scope.spawn(|| {
                let renderer = Renderer::new(&fs, Options::default());
                (0..2).map(|_| renderer.render(&TreePath::root()).map(|objects| to_yaml(&objects)).unwrap_or_default()).collect::<Vec<_>>().join("")
            });
            let (alone, shared) = ([alone(), alone()], [shared(), shared()]);
            alone.into_iter().chain(shared).map(|thread| thread.join().expect("does not panic")).collect()
        });
        for (at, text) in in_threads.into_iter().enumerate() {
            let expected = if at < 2 { once.clone() } else { once.repeat(2) };
            prop_assert_eq!(text, expected);
        }
    }

    #[test]
    fn any_value_reads_back_as_it_was_written(value in json_value(), key in key()) {
        let object = json!({"kind": "A", "metadata": {"name": "a"}, "x": value, "y": {key.clone(): key}});
        let written = to_yaml(&objects(&[(KUSTOMIZATION, "resources: [a.json]\n"), ("a.json", &object.to_string())]));
        prop_assert_eq!(load_one(&written)?, without_whole_floats(object), "{}", written);
    }
}

/// The objects of a rendering, each as text; inside of them a line never begins with `---`.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n---\n")
}

/// The one object of a text.
fn load_one(text: &str) -> Result<Value, TestCaseError> {
    let fs = MemoryFileSystem::new().with("a.yaml", text);
    let mut objects = load_manifests(&fs, &TreePath::root(), &Options::default())
        .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
    let only = objects.pop().filter(|_| objects.is_empty());
    only.map(Object::into_value).ok_or_else(|| TestCaseError::fail(format!("not one object: {text}")))
}

/// A float without a fraction is an integer in the reference's output, if there is one for it.
fn without_whole_floats(mut value: Value) -> Value {
    match &mut value {
        Value::Number(number) if number.is_f64() => {
            let fs = MemoryFileSystem::new().with("a.yaml", format!("kind: A\nmetadata: {{name: a}}\nx: {number}\n"));
            let read = load_manifests(&fs, &TreePath::root(), &Options::default()).expect("a number");
            value = read[0].value()["x"].clone();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_whole_floats(item.take())),
        Value::Object(map) => map.values_mut().for_each(|item| *item = without_whole_floats(item.take())),
        _ => {}
    }
    value
}
