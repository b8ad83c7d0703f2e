//! Renders a directory of the disk to standard output, as `kubectl kustomize` does:
//! `cargo run --example render -- [--load-restrictor X] [--enable-managedby-label] DIR`.

use lapdev_kustomize::{DiskFileSystem, LoadRestrictor, Options, render, to_yaml};
use std::error::Error;
use std::io::{Write, stdout};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args().skip(1), &mut stdout())
}

/// The example, apart from where its output goes.
pub fn run(mut arguments: impl Iterator<Item = String>, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { threads, ..Options::default() };
    let mut directory = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--enable-managedby-label" => options.managed_by_label = true,
            "--load-restrictor" => {
                if arguments.next().as_deref() == Some("LoadRestrictionsNone") {
                    options.load_restrictor = LoadRestrictor::None;
                }
            }
            _ => directory = Some(argument),
        }
    }
    let directory = directory.ok_or("name a directory to render")?;
    // The whole disk is the tree, since a kustomization may name bases above its own directory.
    let fs = DiskFileSystem::open("/")?;
    // `Display`, not `Debug`: the message is for people.
    let objects = render(&fs, &fs.tree_path(directory)?, &options).map_err(|error| error.to_string())?;
    out.write_all(to_yaml(&objects).as_bytes())?;
    Ok(())
}
