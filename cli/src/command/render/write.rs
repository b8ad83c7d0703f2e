//! `--output`: one file with everything, or in a folder one file for each object.

use crate::exit::Failure;
use lapdev_kustomize::{Object, file_names, to_yaml};
use std::{fs, path::Path};

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
