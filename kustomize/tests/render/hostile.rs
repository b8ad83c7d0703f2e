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
