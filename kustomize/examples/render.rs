//! Renders a directory to standard output: `render [--load-restrictor X] [--enable-managedby-label] DIR`.

use lapdev_kustomize::{DiskFileSystem, LoadRestrictor, Options, render, to_yaml};
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::default();
    let mut directory = None;
    let mut arguments = std::env::args().skip(1);
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
    let fs = DiskFileSystem::open("/")?;
    // `Display`, not `Debug`: the message is for people.
    let objects = render(&fs, &fs.tree_path(directory)?, &options).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(to_yaml(&objects).as_bytes())?;
    Ok(())
}
