//! A whole tree: the order of a directory's entries means nothing, renderings of one tree may share
//! what they read, and what was rendered renders to itself.

use super::{check, options, rendered};
use lapdev_kustomize::{
    FileSystem, Found, LoadRestrictor, MemoryFileSystem, Options, Renderer, TreePath, render, render_source, to_yaml,
};

/// Files, each begun by a line `=== path`; the first byte chooses options.
pub fn holds(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let load_restrictor = if first & 1 == 1 { LoadRestrictor::None } else { LoadRestrictor::RootOnly };
    let options = Options { load_restrictor, managed_by_label: first & 2 == 2, ..options() };
    let fs = Reversed(files(rest));
    let root = TreePath::root();

    let result = render(&fs.0, &root, &options);
    let reversed = render(&fs, &root, &options);
    let renderer = Renderer::new(&fs, options.clone());
    for other in [reversed, renderer.render(&root), renderer.render(&root)] {
        match (&result, &other) {
            (Ok(one), Ok(other)) => assert_eq!(to_yaml(one), to_yaml(other), "one tree, one output"),
            (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string(), "one tree, one error"),
            _ => panic!("rendered once and failed once"),
        }
    }
    let _ = render_source(&fs, &root, &options).map_err(|error| check(&error));
    let Ok(objects) = result.map_err(|error| check(&error)) else { return };
    let text = to_yaml(&objects);
    let again = [("kustomization.yaml", "resources: [all.yaml]\nsortOptions: {order: fifo}\n"), ("all.yaml", &text)];
    // A large output may be past the limit of a single file.
    if let Some(again) = rendered(&again) {
        assert_eq!(text, to_yaml(&again), "what was rendered renders to itself");
    }
}

/// The files in the bytes.
fn files(bytes: &[u8]) -> MemoryFileSystem {
    let mut fs = MemoryFileSystem::new();
    let mut rest = bytes;
    let (mut name, mut content): (String, Vec<u8>) = ("kustomization.yaml".to_owned(), Vec::new());
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        match line.strip_prefix(b"=== ") {
            None => content.extend_from_slice(line),
            Some(next) => {
                let next = String::from_utf8_lossy(next).trim_ascii().to_owned();
                insert(&mut fs, &std::mem::replace(&mut name, next), std::mem::take(&mut content));
            }
        }
    }
    insert(&mut fs, &name, content);
    fs
}

fn insert(fs: &mut MemoryFileSystem, name: &str, content: Vec<u8>) {
    if TreePath::parse(name).is_some_and(|path| !path.as_str().is_empty()) {
        fs.insert(name, content);
    }
}

/// Lists its directories backwards.
struct Reversed(MemoryFileSystem);

impl FileSystem for Reversed {
    fn find(&self, path: &TreePath) -> std::io::Result<Option<Found>> {
        self.0.find(path)
    }

    fn read(&self, path: &TreePath) -> std::io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn list(&self, path: &TreePath) -> std::io::Result<Vec<String>> {
        self.0.list(path).map(|names| names.into_iter().rev().collect())
    }
}
