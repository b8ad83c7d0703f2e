//! What many kustomizations share is read once or twice, and changes nothing in what they yield.

use super::{QUEUE, QUEUE_PATCH};
use lapdev_kustomize::{
    Error, FileSystem, Found, Limits, MemoryFileSystem, Object, Options, Problem, Renderer, TreePath, render, to_yaml,
};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how often the file `q.yaml` is read.
struct Counting(MemoryFileSystem, AtomicUsize);

impl FileSystem for Counting {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        self.0.find(path)
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        if path.file_name() == "q.yaml" {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
        self.0.read(path)
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
}

#[test]
fn overlays_share_what_was_read_and_render_as_if_alone() {
    let mut fs =
        MemoryFileSystem::new().with("base/kustomization.yaml", "resources: [q.yaml]\n").with("base/q.yaml", QUEUE);
    for at in 0..10 {
        let overlay = format!("resources: [../base]\nnamePrefix: o{at}-\n{QUEUE_PATCH}");
        fs.insert(&format!("o{at}/kustomization.yaml"), overlay);
    }
    let fs = Counting(fs, AtomicUsize::new(0));
    let renderer = Renderer::new(&fs, Options::default());
    for at in 0..10 {
        let path = TreePath::parse(&format!("o{at}")).expect("inside");
        let shared = renderer.render(&path).expect("renders");
        let alone = render(&fs.0, &path, &Options::default()).expect("renders");
        assert_eq!(to_yaml(&shared), to_yaml(&alone));
    }
    assert_eq!(fs.1.into_inner(), 2);
}

/// Five overlays of a base that has a base of its own and generates; and a kustomization of all five.
fn five() -> MemoryFileSystem {
    let mut fs = MemoryFileSystem::new()
        .with("lowest/kustomization.yaml", "resources: [q.yaml]\nlabels: [{pairs: {level: lowest}}]\n")
        .with("lowest/q.yaml", QUEUE)
        .with(
            "base/kustomization.yaml",
            "resources: [../lowest]\nnamespace: base\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n",
        );
    for at in 0..5 {
        let overlay = format!("resources: [../base]\nnamePrefix: o{at}-\nnamespace: n{at}\n{QUEUE_PATCH}");
        fs.insert(&format!("o{at}/kustomization.yaml"), overlay);
    }
    fs.with("all/kustomization.yaml", "sortOptions: {order: fifo}\nresources: [../o0, ../o1, ../o2, ../o3, ../o4]\n")
}

fn rendered(fs: &dyn FileSystem, path: &str, limits: Limits) -> Result<Vec<Object>, Error> {
    let options = Options { limits, ..Options::default() };
    render(fs, &TreePath::parse(path).expect("inside"), &options)
}

#[test]
fn a_base_that_several_overlays_name_is_read_twice_and_yields_what_it_yields_alone() {
    let fs = Counting(five(), AtomicUsize::new(0));
    let all = rendered(&fs, "all", Limits::default()).expect("renders");
    assert_eq!(fs.1.into_inner(), 2);
    let mut alone = Vec::new();
    for at in 0..5 {
        alone.extend(rendered(&fs.0, &format!("o{at}"), Limits::default()).expect("renders"));
    }
    // Alone they are in the order by kind.
    let sorted = |objects: &[Object]| {
        let mut texts: Vec<String> = objects.iter().map(Object::to_yaml).collect();
        texts.sort();
        texts
    };
    assert_eq!(all.len(), 10);
    assert_eq!(sorted(&all), sorted(&alone));
}

#[test]
fn a_copied_base_counts_for_every_limit_as_if_it_were_read() {
    let needed = Limits { kustomizations: 16, bases: 4, ..Limits::default() };
    assert!(rendered(&five(), "all", needed).is_ok());
    let error = rendered(&five(), "all", Limits { kustomizations: 15, ..needed }).expect_err("one too many");
    assert!(matches!(error.problem(), Problem::TooLarge(15, "kustomizations")), "{error}");
    assert_eq!(error.place().file.as_str(), "lowest");

    let renders = |total: usize| rendered(&five(), "all", Limits { total, ..needed }).is_ok();
    let alone = |total: usize| rendered(&five(), "o0", Limits { total, ..needed }).is_ok();
    let least = |enough: &dyn Fn(usize) -> bool| (1..10_000).find(|total| enough(*total)).expect("enough");
    assert_eq!(least(&renders), 5 * least(&alone));
}

#[test]
fn a_circle_through_a_base_that_was_copied_before_is_found() {
    let fs = five()
        .with("o4/inner/kustomization.yaml", "resources: [../../base]\n")
        .with("base/kustomization.yaml", "resources: [../lowest, ../o4]\n")
        .with("o4/kustomization.yaml", "namePrefix: x-\n")
        .with("all/kustomization.yaml", "resources: [../o0, ../o1, ../o2, ../o4/inner]\n");
    let error = rendered(&fs, "all", Limits::default()).expect_err("a circle");
    assert!(matches!(error.problem(), Problem::Cycle(..)), "{error}");
}
