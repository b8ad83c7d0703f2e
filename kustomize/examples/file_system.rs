//! A file system of one's own: files that are compiled into the program. Run with `cargo run --example file_system`.

use lapdev_kustomize::{FileKind, FileSystem, Found, Options, TreePath, render, to_yaml};
use std::error::Error;
use std::io::{self, Write, stdout};

/// Files by path, without links.
struct Embedded(&'static [(&'static str, &'static str)]);

const APP: Embedded = Embedded(&[
    ("app/kustomization.yaml", "resources: [settings.yaml]\nnamePrefix: dev-\n"),
    ("app/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {log: debug}\n"),
]);

impl Embedded {
    fn file(&self, path: &TreePath) -> Option<&'static str> {
        self.0.iter().find(|(name, _)| *name == path.as_str()).map(|(_, text)| *text)
    }

    /// The paths of the files below a directory, from there.
    fn below<'t>(&self, path: &'t TreePath) -> impl Iterator<Item = &'static str> + 't {
        let inside = |name: &'static str| match path.as_str() {
            "" => Some(name),
            directory => name.strip_prefix(directory)?.strip_prefix('/'),
        };
        self.0.iter().filter_map(move |(name, _)| inside(name))
    }
}

impl FileSystem for Embedded {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        let kind = match self.file(path) {
            Some(_) => FileKind::File,
            None if self.below(path).next().is_some() => FileKind::Directory,
            None => return Ok(None),
        };
        // Where there are links, `path` is where they lead.
        Ok(Some(Found { path: path.clone(), kind }))
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        self.file(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        let mut names: Vec<String> =
            self.below(path).filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout())
}

/// The example, apart from where its output goes.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let app = TreePath::parse("app").ok_or("leads out of the tree")?;
    out.write_all(to_yaml(&render(&APP, &app, &Options::default())?).as_bytes())?;
    Ok(())
}
