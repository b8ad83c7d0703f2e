//! Several threads read what one would have read, and meet the same error first.

use lapdev_kustomize::{MemoryFileSystem, Options, Renderer, TreePath, render, to_yaml};

/// More than are read ahead at once.
const FILES: usize = 600;

/// A tree with an overlay of a base of many files, bases and components among them.
fn tree() -> MemoryFileSystem {
    let mut listed = String::new();
    let mut fs = MemoryFileSystem::new()
        .with("overlay/kustomization.yaml", "resources: [../base]\nnamePrefix: x-\n")
        .with("base/inner/kustomization.yaml", "resources: [one.yaml]\nnameSuffix: -in\n")
        .with("base/inner/one.yaml", object("one"));
    for number in 0..FILES {
        if number == FILES / 3 {
            listed += "- inner\n";
        }
        listed += &format!("- file-{number}.yaml\n");
        fs = fs.with(&format!("base/file-{number}.yaml"), object(&format!("object-{number}")));
    }
    fs.with("base/kustomization.yaml", format!("resources:\n{listed}"))
}

fn object(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: value\n")
}

fn rendered(fs: &MemoryFileSystem, threads: usize) -> Result<String, String> {
    let overlay = TreePath::parse("overlay").expect("inside of the tree");
    let options = Options { threads, ..Options::default() };
    render(fs, &overlay, &options).map(|objects| to_yaml(&objects)).map_err(|error| error.to_string())
}

#[test]
fn the_output_is_the_same_whoever_reads() {
    let fs = tree();
    let alone = rendered(&fs, 0).expect("the tree renders");
    assert_eq!(alone.matches("kind: ConfigMap").count(), FILES + 1);
    for threads in [1, 2, 3, 16] {
        assert_eq!(rendered(&fs, threads).as_ref(), Ok(&alone), "{threads} threads");
    }
    let renderer = Renderer::new(&fs, Options { threads: 2, ..Options::default() });
    let overlay = TreePath::parse("overlay").expect("inside of the tree");
    for time in 1..=3 {
        let again = renderer.render(&overlay).expect("the tree renders");
        assert_eq!(to_yaml(&again), alone, "rendering {time}");
    }
}

#[test]
fn the_first_error_is_the_first_in_the_list() {
    let broken = [
        ("base/file-301.yaml", "kind: [\n"),
        ("base/file-302.yaml", "kind: ConfigMap\n"),
        ("base/file-40.yaml", "\tx"),
        ("base/file-39.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: object-7}\n"),
        ("base/file-21.yaml", "a: 1\n---\nb: 2\n"),
        ("base/inner/one.yaml", "- 1\n"),
    ];
    let mut fs = tree();
    for (path, text) in broken {
        fs = fs.with(path, text);
        let alone = rendered(&fs, 1).expect_err("it is broken");
        for threads in [2, 3] {
            assert_eq!(rendered(&fs, threads), Err(alone.clone()), "{path} with {threads} threads");
        }
    }
    let missing = fs.with("base/kustomization.yaml", format!("resources:\n{}", "- no.yaml\n".repeat(40)));
    assert_eq!(rendered(&missing, 2), rendered(&missing, 1));
    assert!(rendered(&missing, 2).is_err());
}

#[test]
fn bounds_hold_whoever_reads() {
    let fs = tree();
    let overlay = TreePath::parse("overlay").expect("inside of the tree");
    for limit in [1, 15, 17, 255, 257, 300, FILES] {
        let error = |threads| {
            let mut options = Options { threads, ..Options::default() };
            options.limits.objects = limit;
            render(&fs, &overlay, &options).expect_err("more than may be").to_string()
        };
        assert_eq!(error(1), error(2), "{limit} objects");
    }
}
