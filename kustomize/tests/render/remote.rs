//! Remote bases and files, fetched by a table: what is asked for, what the trees may do, and what is said where not.

use super::DEPLOYMENT;
use lapdev_kustomize::{
    Error, FileSystem, Limits, LoadRestrictor, MemoryFileSystem, Object, Options, RemoteError, Remotes, Renderer,
    Repository, TreePath, to_yaml,
};
use std::cell::RefCell;
use std::collections::BTreeMap;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}\n";

/// Trees by `url?ref=…`, files by address.
#[derive(Default)]
struct Table {
    trees: BTreeMap<&'static str, MemoryFileSystem>,
    files: BTreeMap<&'static str, &'static str>,
    asked: RefCell<Vec<String>>,
}

impl Table {
    fn tree(mut self, name: &'static str, files: &[(&str, &str)]) -> Self {
        self.trees.insert(name, files.iter().copied().collect());
        self
    }

    fn file(mut self, url: &'static str, content: &'static str) -> Self {
        self.files.insert(url, content);
        self
    }

    fn render(&self, options: Options, files: &[(&str, &str)]) -> Result<Vec<Object>, Error> {
        let fs: MemoryFileSystem = files.iter().copied().collect();
        Renderer::new(&fs, options).with_remotes(self).render(&TreePath::parse("app").expect("inside"))
    }

    fn yaml(&self, kustomization: &str) -> String {
        let objects = self.render(Options::default(), &[("app/kustomization.yaml", kustomization)]);
        to_yaml(&objects.expect("the tree renders"))
    }

    fn failure(&self, kustomization: &str) -> String {
        let objects = self.render(Options::default(), &[("app/kustomization.yaml", kustomization)]);
        chain(&objects.expect_err("the tree must not render"))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Remotes for Table {
    fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
        self.asked.borrow_mut().push(repository.to_string());
        let found = self.trees.get(repository.to_string().as_str()).ok_or("no such repository")?;
        Ok(Box::new(found.clone()))
    }

    fn file(&self, url: &str, limit: usize) -> Result<Vec<u8>, RemoteError> {
        self.asked.borrow_mut().push(url.to_owned());
        let found = self.files.get(url).ok_or("404 Not Found")?;
        if found.len() > limit { Err("too large".into()) } else { Ok(found.as_bytes().to_vec()) }
    }
}

const WEB: &str = "https://git.example.com/shop/web?ref=v1";

fn web() -> Table {
    Table::default().tree(
        WEB,
        &[
            ("base/kustomization.yaml", "resources: [../common]\nnamePrefix: web-\n"),
            ("common/kustomization.yaml", "resources: [map.yaml]\n"),
            ("common/map.yaml", MAP),
            (
                "part/kustomization.yaml",
                "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nnameSuffix: -part\n",
            ),
        ],
    )
}

#[test]
fn bases_of_one_repository_at_one_ref_share_its_tree() {
    let table = web();
    let text = table.yaml(
        "resources: [https://git.example.com/shop/web//base?ref=v1, https://git.example.com/shop/web//common?ref=v1]\n\
         components: ['https://git.example.com/shop/web//part?ref=v1']\n",
    );
    assert!(text.contains("name: web-remote-part\n") && text.contains("name: remote-part\n"), "{text}");
    assert_eq!(*table.asked.borrow(), [WEB]);
}

#[test]
fn a_renderer_fetches_once_in_its_life() {
    let table = web();
    let base = "resources: [https://git.example.com/shop/web//base?ref=v1]\n";
    let fs = MemoryFileSystem::new().with("a/kustomization.yaml", base).with("b/kustomization.yaml", base);
    let renderer = Renderer::new(&fs, Options::default()).with_remotes(&table);
    for name in ["a", "b"] {
        let path = TreePath::parse(name).expect("inside");
        assert_eq!(renderer.render(&path).expect("it renders").len(), 1);
    }
    assert_eq!(table.asked.borrow().len(), 1);
}

#[test]
fn files_of_a_web_server_serve_in_every_field_that_names_a_file() {
    let table = Table::default()
        .file("https://example.com/web.yaml", DEPLOYMENT)
        .file("https://example.com/patch.yaml", "- {op: add, path: /metadata/labels, value: {a: b}}\n")
        .file("https://example.com/app.conf", "x=1\n");
    let text = table.yaml(
        "resources: [https://example.com/web.yaml]\n\
         patches: [{path: https://example.com/patch.yaml, target: {kind: Deployment}}]\n\
         configMapGenerator: [{name: c, files: [https://example.com/app.conf], options: {disableNameSuffixHash: true}}]\n",
    );
    assert!(text.contains("labels:\n    a: b\n") && text.contains("app.conf: |\n    x=1\n"), "{text}");
}

#[test]
fn an_address_that_may_be_either_is_a_file_first() {
    let either = "resources: [https://git.example.com/shop/web/common?ref=v1]\n";
    assert!(web().yaml(either).contains("name: remote"));
    let page = web().file("https://git.example.com/shop/web/common?ref=v1", "<html><body>hello</body></html>");
    assert!(page.yaml(either).contains("name: remote"));
    let file =
        web().file("https://git.example.com/shop/web/common?ref=v1", "{apiVersion: v1, kind: A, metadata: {name: f}}");
    assert!(file.yaml(either).contains("name: f"));
    let failure = Table::default().failure(either);
    assert_eq!(
        failure,
        "app/kustomization.yaml:1:13: resources[0]: cannot fetch `https://git.example.com/shop/web?ref=v1` (as a file: \
         cannot fetch `https://git.example.com/shop/web/common?ref=v1`: 404 Not Found): no such repository"
    );
}

#[test]
fn what_is_fetched_stays_in_its_tree_even_where_the_restriction_is_lifted() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: local}\n";
    for (inside, want) in [
        ("resources: [../../app/secret.yaml]\n", "leads out of the tree"),
        ("resources: [../../app]\n", "leads out of the tree"),
        ("resources: [/app/secret.yaml]\n", "a directory is named by a relative path"),
        ("resources: [../other.yaml]\n", "lies outside of the directory"),
        ("configMapGenerator: [{name: a, files: [../other.yaml]}]\n", "lies outside of the directory"),
        ("helmGlobals: {configHome: x}\nhelmCharts: [{name: a}]\n", "helm charts are off here"),
    ] {
        let table = Table::default().tree(WEB, &[("base/kustomization.yaml", inside), ("other.yaml", MAP)]);
        let options = Options { load_restrictor: LoadRestrictor::None, ..Options::default() };
        let here = "resources: [https://git.example.com/shop/web//base?ref=v1]\n";
        let error = table.render(options, &[("app/kustomization.yaml", here), ("app/secret.yaml", secret)]);
        let error = error.expect_err(inside).to_string();
        assert!(error.starts_with("https://git.example.com/shop/web?ref=v1//base/kustomization.yaml:"), "{error}");
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn what_comes_from_elsewhere_leads_to_no_repository_of_this_disk() {
    let leading = |at: &'static str| {
        let base = [("kustomization.yaml", "resources: ['file:///home/me/private.git?ref=main']\n")];
        let map = [("kustomization.yaml", "resources: [map.yaml]\n"), ("map.yaml", MAP)];
        Table::default().tree(at, &base).tree("file:///home/me/private.git?ref=main", &map)
    };
    let elsewhere = leading("https://git.example.com/x/a?ref=v1");
    let error = elsewhere.failure("resources: ['https://git.example.com/x/a?ref=v1']\n");
    assert!(error.contains("must not name repositories of this disk"), "{error}");
    assert!(!elsewhere.asked.borrow().iter().any(|asked| asked.starts_with("file:")), "nothing of it was read");
    // Who names the disk may lead on there.
    let mine = leading("file:///home/me/shop.git?ref=v1");
    assert!(mine.yaml("resources: ['file:///home/me/shop.git?ref=v1']\n").contains("name: remote"));
}

#[test]
fn circles_across_repositories_end() {
    const A: &str = "https://git.example.com/x/a";
    const B: &str = "https://git.example.com/x/b";
    let circle = Table::default()
        .tree(A, &[("k/kustomization.yaml", "resources: [https://git.example.com/x/b//k]\n")])
        .tree(B, &[("k/kustomization.yaml", "resources: [https://git.example.com/x/a//k]\n")]);
    let error = circle.failure("resources: [https://git.example.com/x/a//k]\n");
    assert!(error.contains(&format!("includes itself: app → {A}//k → {B}//k")), "{error}");

    // The same tree, at ever another ref.
    struct Endless;
    impl Remotes for Endless {
        fn repository(&self, repository: &Repository) -> Result<Box<dyn FileSystem>, RemoteError> {
            let number: usize = repository.reference.as_deref().unwrap_or("0").parse()?;
            let next = format!("resources: [https://git.example.com/x/a//k?ref={}]\n", number + 1);
            Ok(Box::new(MemoryFileSystem::new().with("k/kustomization.yaml", next)))
        }

        fn file(&self, _: &str, _: usize) -> Result<Vec<u8>, RemoteError> {
            Err("none".into())
        }
    }
    let fs = MemoryFileSystem::new().with("kustomization.yaml", "resources: [https://git.example.com/x/a//k?ref=0]\n");
    for (limits, want) in [
        (Limits::default(), "nested deeper than 64 levels"),
        (Limits { remotes: 10, ..Limits::default() }, "larger than the limit of 10 remote trees and files"),
    ] {
        let options = Options { limits, ..Options::default() };
        let error = Renderer::new(&fs, options).with_remotes(&Endless).render(&TreePath::root());
        let error = error.expect_err("it never ends").to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn origins_name_repository_and_ref() {
    let table =
        web().file("https://example.com/a/b/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: f}}");
    let text = table.yaml(
        "resources: [https://git.example.com/shop/web//base?ref=v1, https://example.com/a/b/map.yaml]\n\
         buildMetadata: [originAnnotations, transformerAnnotations]\nsortOptions: {order: fifo}\n",
    );
    assert_eq!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    alpha.config.kubernetes.io/transformations: |\n      \
         - repo: https://git.example.com/shop/web\n        ref: v1\n        configuredIn: base/kustomization.yaml\n        \
         configuredBy:\n          apiVersion: builtin\n          kind: PrefixTransformer\n    \
         config.kubernetes.io/origin: |\n      path: common/map.yaml\n      repo: https://git.example.com/shop/web\n      \
         ref: v1\n  name: web-remote\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    \
         config.kubernetes.io/origin: |\n      path: map.yaml\n      repo: https://example.com/a/b\n  name: f\n"
    );
}

#[test]
fn nothing_is_fetched_where_nobody_is_asked_to() {
    for name in ["https://git.example.com/shop/web//base", "git@git.example.com:shop/web", "https://example.com/a.yaml"]
    {
        let fs = MemoryFileSystem::new().with("kustomization.yaml", format!("resources: ['{name}']\n"));
        let error = lapdev_kustomize::render(&fs, &TreePath::root(), &Options::default()).expect_err(name).to_string();
        assert!(error.starts_with("kustomization.yaml:1:13: resources[0]: `"), "{error}");
        assert!(error.ends_with("remote trees and files are not fetched here; copy it into the tree"), "{error}");
    }
}

#[test]
fn what_is_no_directory_of_the_repository_is_said() {
    let table = web();
    let error = table.failure("resources: [https://git.example.com/shop/web//nothing?ref=v1]\n");
    assert!(error.contains("`https://git.example.com/shop/web?ref=v1//nothing` does not exist"), "{error}");
    let error = table.failure("resources: [https://git.example.com/shop/web//common/map.yaml?ref=v1]\n");
    assert!(error.contains("does not exist") && error.contains("as a file"), "{error}");
    let error = table.failure("resources: ['ssh://git.example.com']\n");
    assert!(error.contains("names no repository"), "{error}");
}

#[test]
fn two_entries_that_yaml_reads_as_one_are_refused() {
    let fs = MemoryFileSystem::new()
        .with("app/kustomization.yaml", "resources:\n- ../base\n - ../other\n")
        .with("other/kustomization.yaml", "resources: [map.yaml]\n")
        .with("other/map.yaml", MAP);
    let app = TreePath::parse("app").expect("inside");
    let error = lapdev_kustomize::render(&fs, &app, &Options::default()).expect_err("a slip").to_string();
    assert!(error.contains("check the indentation"), "{error}");
}
