//! Input that is wrong, huge, or meant to do harm: one error, within limits, never a panic.

use super::*;

#[test]
fn circles_and_deep_chains_of_bases_end_in_one_error() {
    let circle = [("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")];
    let error = objects_at("a", &circle).expect_err("a circle");
    assert!(matches!(error.problem(), Problem::Cycle(..)), "{error}");

    let chain: Vec<(String, String)> =
        (0..100).map(|at| (format!("{at}/kustomization.yaml"), format!("resources: [../{}]\n", at + 1))).collect();
    let fs: MemoryFileSystem = chain.iter().map(|(path, text)| (path, text.as_str())).collect();
    let error = render(&fs, &TreePath::parse("0").expect("inside"), &Options::default()).expect_err("too deep");
    assert!(matches!(error.problem(), Problem::TooDeep(_)), "{error}");
}

#[test]
fn files_outside_of_the_directory_are_refused_unless_allowed() {
    let fs = MemoryFileSystem::new().with("app/kustomization.yaml", "resources: [../s.yaml]\n").with("s.yaml", SERVICE);
    let app = TreePath::parse("app").expect("inside");
    let error = render(&fs, &app, &Options::default()).expect_err("outside");
    assert!(matches!(error.problem(), Problem::OutsideRoot(..)), "{error}");
    let lenient = Options { load_restrictor: LoadRestrictor::None, ..Options::default() };
    assert_eq!(render(&fs, &app, &lenient).expect("allowed").len(), 1);

    let fs = fs.with("app/kustomization.yaml", "resources: [../../s.yaml]\n");
    let error = render(&fs, &app, &lenient).expect_err("out of the tree");
    assert!(matches!(error.problem(), Problem::OutsideTree(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_directory_are_refused_on_disk() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = std::env::temp_dir().join(format!("lapdev-kustomize-{}", std::process::id()));
    std::fs::create_dir_all(scratch.join("app"))?;
    std::fs::write(scratch.join("secret.yaml"), SERVICE)?;
    std::fs::write(scratch.join("app/kustomization.yaml"), "resources: [link.yaml]\n")?;
    std::os::unix::fs::symlink("../secret.yaml", scratch.join("app/link.yaml"))?;
    let outer = DiskFileSystem::open(&scratch)?;
    let result = render(&outer, &outer.tree_path(scratch.join("app"))?, &Options::default());
    let inner = DiskFileSystem::open(scratch.join("app"))?;
    let sealed = render(&inner, &TreePath::root(), &Options::default());
    std::fs::remove_dir_all(&scratch)?;

    let error = result.expect_err("a link out of the directory");
    assert!(matches!(error.problem(), Problem::OutsideRoot(..)), "{error}");
    let error = sealed.expect_err("a link out of the tree");
    assert!(matches!(error.problem(), Problem::Missing(_)), "{error}");
    Ok(())
}

#[test]
fn hostile_input_is_one_error_and_never_a_panic() {
    let deep = "[".repeat(1_000_000);
    let nested = format!("kind: A\nmetadata: {{name: a}}\nx: {}1{}\n", "{a: ".repeat(100_000), "}".repeat(100_000));
    let texts: &[&[u8]] = &[
        b"\xff\xfe",
        b"kind: A\nmetadata: {name: \"a\xff\"}\n",
        deep.as_bytes(),
        nested.as_bytes(),
        b"- 1\n",
        b"x\n",
        b"a: &a [*a]\n",
        b"kind: A\nmetadata: 1\n",
        b"kind: [A]\nmetadata: {name: a}\n",
        b"kind: AList\nitems: 1\n",
        b"{a: b, ? [c] : d}\n",
        b"kind: A\nmetadata: {name: a}\nx: .inf\n",
        b"\0",
        b"kind: A\nmetadata: {name: a, labels: []}\n",
    ];
    for text in texts {
        let fs = MemoryFileSystem::new().with("kustomization.yaml", "resources: [a.yaml]\n").with("a.yaml", *text);
        assert!(render(&fs, &TreePath::root(), &Options::default()).is_err(), "{:?}", &text[..text.len().min(40)]);
        let fs = MemoryFileSystem::new().with("kustomization.yaml", *text);
        assert!(render(&fs, &TreePath::root(), &Options::default()).is_err(), "{:?}", &text[..text.len().min(40)]);
    }
}

#[test]
fn limits_hold_for_files_and_objects() {
    let fs = MemoryFileSystem::new()
        .with("kustomization.yaml", "resources: [a.yaml, s.yaml]\n")
        .with("s.yaml", SERVICE)
        .with("a.yaml", DEPLOYMENT);
    for limits in [
        Limits { objects: 1, ..Limits::default() },
        Limits { file_bytes: 100, ..Limits::default() },
        Limits { nodes: 10, ..Limits::default() },
    ] {
        let options = Options { limits, ..Options::default() };
        let error = render(&fs, &TreePath::root(), &options).expect_err("beyond a limit");
        assert!(matches!(error.problem(), Problem::TooLarge(..)), "{error}");
    }
}

#[test]
fn amplification_ends_at_a_limit_and_not_in_memory() {
    let bomb = |kustomization: &str, object: &str| {
        let files = [("kustomization.yaml", kustomization), ("a.yaml", object)];
        let fs: MemoryFileSystem = files.into_iter().collect();
        let options = Options { limits: Limits { total: 100_000, ..Limits::default() }, ..Options::default() };
        render(&fs, &TreePath::root(), &options).expect_err("must not render").to_string()
    };
    let list = "kind: AList\nitems:\n".to_owned()
        + &(0..2_000).map(|at| format!("- {{kind: A, metadata: {{name: a{at}}}, x: $(V)}}\n")).collect::<String>();
    let long = "x".repeat(10_000);

    for kustomization in [
        format!("resources: [a.yaml]\nnamePrefix: {long}\n"),
        format!("resources: [a.yaml]\nnamespace: {long}\n"),
        format!("resources: [a.yaml]\ncommonAnnotations: {{a: {long}}}\n"),
        format!(
            "resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '{{kind: A, metadata: {{name: x}}, y: {long}}}'\n"
        ),
        format!(
            "resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '- {{op: add, path: /y, value: {long}}}'\n"
        ),
        format!(
            "resources: [a.yaml]\nreplacements:\n- sourceValue: {long}\n  targets: [{{select: {{kind: A}}, fieldPaths: [x]}}]\n"
        ),
    ] {
        let error = bomb(&kustomization, &list);
        assert!(error.contains("beyond its limit"), "{error}");
    }

    // Copies of copies, by size and by depth.
    let copies = "{op: copy, from: /x, path: /x/-}, ".repeat(60);
    let error = bomb(
        &format!("resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '--- [{copies}]'\n"),
        "kind: A\nmetadata: {name: a}\nx: [1]\n",
    );
    assert!(error.contains("beyond its limit"), "{error}");
    let deeper = "{op: move, from: /x, path: /y}, {op: add, path: /x, value: {}}, {op: move, from: /y, path: /x/y}, "
        .repeat(1_000);
    let error = bomb(
        &format!("resources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: '--- [{deeper}]'\n"),
        "kind: A\nmetadata: {name: a}\nx: 1\n",
    );
    assert!(error.contains("nested deeper"), "{error}");
}

#[test]
fn a_few_bases_that_include_each_other_twice_end_at_a_limit() {
    // 2^40 visits if nothing counted them.
    let mut fs = MemoryFileSystem::new();
    for level in 0..40 {
        for side in ["a", "b"] {
            let next = level + 1;
            fs.insert(&format!("{level}{side}/kustomization.yaml"), format!("resources: [../{next}a, ../{next}b]\n"));
        }
    }
    fs.insert("40a/kustomization.yaml", "namePrefix: x\n");
    fs.insert("40b/kustomization.yaml", "namePrefix: x\n");
    let error = render(&fs, &TreePath::parse("0a").expect("inside"), &Options::default()).expect_err("too many");
    assert!(matches!(error.problem(), Problem::TooLarge(_, "kustomizations")), "{error}");
}

#[test]
fn hostile_files_are_one_error_whatever_field_names_them() {
    let deep = ["[".repeat(1_000_000), "{a: ".repeat(1_000_000), "- ".repeat(1_000_000), "? ".repeat(1_000_000)];
    let json = format!("{{\"definitions\": {}", "{\"a\":".repeat(1_000_000));
    let bomb = (1..15).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{items}]\n")
    });
    let mut hostile: Vec<Vec<u8>> = deep.into_iter().chain([json, bomb]).map(String::into_bytes).collect();
    hostile.extend([b"a: \xe9\n".to_vec(), b"\xff\xfea\0:\0 \x001\0".to_vec(), b"a: &a [*a]\n".to_vec()]);
    for field in [
        "resources: [q.yaml, x]",
        "resources: [q.yaml]\npatches: [{path: x}]",
        "resources: [q.yaml]\npatches: [{path: x, target: {kind: Queue}}]",
        "resources: [q.yaml]\npatchesStrategicMerge: [x]",
        "resources: [q.yaml]\npatchesJson6902: [{path: x, target: {version: v1, kind: Queue, name: q}}]",
        "resources: [q.yaml]\nopenapi: {path: x}",
        "resources: [q.yaml]\ncrds: [x]",
        "resources: [q.yaml]\nconfigurations: [x]",
        "resources: [q.yaml]\nreplacements: [{path: x}]",
        "resources: [q.yaml]\ntransformers: [x]",
        "resources: [q.yaml]\nvalidators: [x]",
        "resources: [q.yaml]\ngenerators: [x]",
    ] {
        for text in &hostile {
            let fs = MemoryFileSystem::new()
                .with("kustomization.yaml", format!("{field}\n"))
                .with("q.yaml", QUEUE)
                .with("x", text.clone());
            let error = render(&fs, &TreePath::root(), &Options::default());
            let message = error.expect_err("hostile").to_string();
            assert!(!message.contains('\n') && message.len() < 500 && message.contains('x'), "{field}: {message}");
        }
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let kustomization =
        format!("resources: [q.yaml]\nopenapi: {{path: types.yaml}}\ncommonLabels: {{a: b}}\n{QUEUE_PATCH}");
    let plain = [("kustomization.yaml", kustomization.as_str()), ("q.yaml", QUEUE), ("types.yaml", QUEUE_TYPES)];
    let texts = plain.map(|(name, text)| (name, windows(text)));
    let marked = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
    assert_eq!(yaml(&marked), yaml(&plain));
}

#[test]
fn an_error_is_one_line_of_bounded_length_whatever_it_quotes() {
    let long = "x".repeat(100_000);
    for name in ["a\\nb\\e[31m\\r", "\\0", long.as_str()] {
        let kustomization = format!("resources: [\"{name}\"]\n");
        let message = failure(&[("kustomization.yaml", kustomization.as_str())]);
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.starts_with("kustomization.yaml:1:13: resources[0]: ") && message.len() < 4_000, "{message}");
    }
}

/// How a tree of one file of objects fails that may build up little.
fn failure_of_little(kustomization: &str, objects: &str) -> String {
    let fs: MemoryFileSystem =
        [("kustomization.yaml", kustomization), ("a.yaml", objects), ("c/kustomization.yaml", COMPONENT)]
            .into_iter()
            .collect();
    let options = Options { limits: Limits { total: 50_000, ..Limits::default() }, ..Options::default() };
    render(&fs, &TreePath::root(), &options).expect_err("must not render").to_string()
}

const COMPONENT: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: p\n";

#[test]
fn many_entries_over_many_objects_end_at_a_limit() {
    let objects: String =
        (0..1_000).map(|at| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{at}}}\n---\n")).collect();
    let many = |entry: &str| entry.repeat(1_000);
    for kustomization in [
        format!("patches:\n{}", many("- {target: {kind: None}, patch: '- {op: remove, path: /x}'}\n")),
        format!("replacements:\n{}", many("- {sourceValue: x, targets: [{select: {kind: None}}]}\n")),
        format!("images:\n{}", many("- {name: x, newTag: v2}\n")),
        format!("components: [{}]\n", many("c, ")),
        format!(
            "buildMetadata: [transformerAnnotations]\npatches:\n{}",
            many("- {target: {kind: None}, patch: '- {op: remove, path: /x}'}\n")
        ),
    ] {
        let message = failure_of_little(&format!("resources: [a.yaml]\n{kustomization}"), &objects);
        assert!(message.contains("beyond its limit"), "{kustomization:.80}: {message}");
    }
}

#[test]
fn elements_that_every_merge_doubles_end_at_a_limit() {
    let patch =
        "- patch: '{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{x: 1, protocol: UDP}]}}'\n";
    let object = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: 80}}, {{x: {}, protocol: UDP}}]}}\n",
        "z".repeat(10_000)
    );
    let message = failure_of_little(&format!("resources: [a.yaml]\npatches:\n{}", patch.repeat(60)), &object);
    assert!(message.contains("beyond its limit") || message.contains("more than 1000 elements"), "{message}");
}

#[test]
fn dollars_without_end_are_read_once() {
    let pod = |text: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, args: [{text:?}]}}]}}\n"
        )
    };
    let kustomization = "resources: [a.yaml]\nvars: [{name: V, objref: {apiVersion: v1, kind: Pod, name: p}}]\n";
    // Some 10^12 steps if each looked for its end.
    let open = pod(&"$(".repeat(2_000_000));
    let rendered = yaml(&[("kustomization.yaml", kustomization), ("a.yaml", &open)]);
    assert!(rendered.contains("$($($("));
    let closed = pod("$(V)$($(V)");
    assert!(yaml(&[("kustomization.yaml", kustomization), ("a.yaml", &closed)]).contains("p$($(V)"));
}

#[test]
fn patches_and_values_that_do_not_fit_are_one_error_each_with_its_place() {
    let former = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    let json = |operation: &str| format!("patches:\n- target: {{kind: ConfigMap}}\n  patch: '- {{{operation}}}'\n");
    for (kustomization, expected) in [
        (
            "patches: [{patch: \"{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, a: b}\"}]\nreplacements: []\n"
                .to_owned(),
            "no object matches the patch for v1 ConfigMap `x`",
        ),
        (json("op: add, path: a, value: 1"), "must start with `/`"),
        (json("op: add, path: /a/b, value: 1"), "path `/a/b`: `a` does not exist"),
        (json("op: remove, path: /a"), "there is nothing to remove"),
        (json("op: add, path: /data/x/1, value: 1"), "path `/data/x/1`"),
        (json("op: move, path: /a, from: /b"), "there is nothing to remove"),
        (json("op: frob, path: /a"), "unknown `op` `frob`"),
        (json("path: /a"), "unknown `op` ``"),
        ("patches: {}\n".to_owned(), "patches"),
        ("patches: [1]\n".to_owned(), "patches[0]: expected a mapping, found a number"),
        ("namePrefix: [a]\n".to_owned(), "namePrefix: expected a string, found a list"),
        ("images: [{name: {}}]\n".to_owned(), "images[0].name: expected a string, found a mapping"),
        ("replicas: [{name: b, count: x}]\n".to_owned(), "replicas[0].count"),
        ("commonLabels: [a]\n".to_owned(), "commonLabels"),
        ("replacements: [{sourceValue: x, targets: {}}]\n".to_owned(), "replacements[0].targets"),
        ("replacements: [{sourceValue: x, targets: []}]\n".to_owned(), "needs a `source` and `targets`"),
        (
            "replacements: [{source: {kind: ConfigMap}, targets: [{select: {name: b}, fieldPaths: [x]}]}]\n".to_owned(),
            "the source of the replacement is ambiguous: it matches v1 ConfigMap `b`",
        ),
        (
            "replacements: [{sourceValue: x, targets: [{select: {name: b}, fieldPaths: [\"data.[x=(].y\"]}]}]\n"
                .to_owned(),
            "replacements[0]",
        ),
    ] {
        let kustomization = format!("resources: [a.yaml]\n{kustomization}");
        let message = failure(&[("kustomization.yaml", &kustomization), ("a.yaml", former)]);
        assert!(message.contains(expected) && message.starts_with("kustomization.yaml:"), "{kustomization}{message}");
    }
    // Two objects of one former name, from two bases.
    let base = "resources: [a.yaml]\nnamePrefix: ";
    let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let (x, z) = (format!("{base}x-\n"), format!("{base}z-\n"));
    let patch =
        "resources: [x, z]\npatches: [{patch: \"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, b: c}\"}]\n";
    let files = [
        ("kustomization.yaml", patch),
        ("x/kustomization.yaml", &x),
        ("x/a.yaml", one),
        ("z/kustomization.yaml", &z),
        ("z/a.yaml", one),
    ];
    let message = failure(&files);
    assert!(message.contains("the patch for v1 ConfigMap `a` in namespace `default` is ambiguous"), "{message}");
}

#[test]
fn scalars_that_are_read_as_text_take_a_time_in_proportion() {
    let numbers: String = (0..20_000).map(|at| format!("  k{at}: 0x{at:x}\n")).collect();
    let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{numbers}");
    let files = [
        (
            "kustomization.yaml",
            "resources: [a.yaml]\nconfigMapGenerator: [{name: a, behavior: merge, literals: [b=c]}]\n",
        ),
        ("a.yaml", &object),
    ];
    // 4 × 10^8 pointers compared if each key went through all of them.
    assert!(yaml(&files).contains("  k19999: \"0x4e1f\"\n"));
}

#[test]
fn many_replacements_into_one_long_text_are_bounded() {
    let fields: String = (0..2_000).map(|at| format!("k{at}: v\n")).collect();
    let paths: Vec<String> = (0..2_000).map(|at| format!("data.f.k{at}")).collect();
    let replacements = format!(
        "resources: [m.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n  - select: {{kind: ConfigMap}}\n    fieldPaths: [{}]\n",
        paths.join(", ")
    );
    let map =
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"f": fields}});
    let fs = MemoryFileSystem::new().with("kustomization.yaml", replacements).with("m.yaml", map.to_string());
    let options = Options { limits: Limits { total: 200_000, ..Limits::default() }, ..Options::default() };
    let error = render(&fs, &TreePath::root(), &options).expect_err("2,000 times 2,000 values").to_string();
    assert!(error.contains("grows beyond its limit of 200000 values"), "{error}");
}

#[test]
fn a_text_inside_of_an_object_is_held_to_the_callers_limits() {
    let kustomization = "resources: [m.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n  - select: {kind: ConfigMap}\n    fieldPaths: [data.f.k]\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  f: |\n    k: v\n    deep: [[[[[[[[[[1]]]]]]]]]]\n";
    let fs = MemoryFileSystem::new().with("kustomization.yaml", kustomization).with("m.yaml", map);
    let rendered = |nesting| {
        let options = Options { limits: Limits { nesting, ..Limits::default() }, ..Options::default() };
        render(&fs, &TreePath::root(), &options).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(rendered(12), Ok(()));
    let refused = rendered(8).expect_err("deeper than may be");
    assert!(refused.contains("`data.f.k`: nested deeper than 8 levels"), "{refused}");
}
