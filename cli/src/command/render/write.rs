//! Where the objects go: to stdout, or with `--output` to one file, or in a folder to a file for each object.

use crate::{exit::Failure, output::data};
use lapdev_kustomize::{Object, file_names, to_yaml};
use std::{fs, path::Path, thread};

/// With fewer objects a thread costs more than it saves.
const FEW: usize = 100;

/// Prints the objects as one stream, of which a second thread writes the second half.
pub fn print(objects: &[Object]) -> Result<(), Failure> {
    let (first, second) = objects.split_at(if objects.len() < FEW { 0 } else { objects.len() / 2 });
    if first.is_empty() {
        return data(&to_yaml(second));
    }
    thread::scope(|scope| {
        let helper = thread::Builder::new().spawn_scoped(scope, || to_yaml(second));
        data(&to_yaml(first))?;
        data("---\n")?;
        data(&match helper {
            Ok(helper) => helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => to_yaml(second),
        })
    })
}

/// Writes the objects. A folder is one that is there already, as the reference has it.
pub fn write(path: &Path, objects: &[Object]) -> Result<(), Failure> {
    if !path.is_dir() {
        return write_file(path, &to_yaml(objects));
    }
    let names = file_names(objects).map_err(Failure::not_fine)?;
    for (name, object) in names.iter().zip(objects) {
        write_file(&path.join(name), &to_yaml(std::slice::from_ref(object)))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::not_fine(format!("cannot write {}: {error}", path.display())))
}
