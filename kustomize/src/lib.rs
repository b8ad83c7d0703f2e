//! A [kustomize](https://kustomize.io) renderer: a kustomization tree in, Kubernetes objects out.
//!
//! [`render`] is a pure function of a file tree, [`Options`] and a directory. It reads through a [`FileSystem`] (memory and disk
//! come along; a git tree is an implementation away), touches no network, starts no process, and
//! gives the same objects in the same order however the tree lists its entries.
//!
//! ```
//! use lapdev_kustomize::{MemoryFileSystem, Options, TreePath, render, to_yaml};
//!
//! let fs = MemoryFileSystem::new()
//!     .with("app/kustomization.yaml", "resources: [service.yaml]\n")
//!     .with("app/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n");
//! let app = TreePath::parse("app").ok_or("leads out of the tree")?;
//! let objects = render(&fs, &app, &Options::default())?;
//! assert_eq!(to_yaml(&objects), "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The objects are [`Object`]s around a [`serde_json::Value`]: read them with its methods, change them with
//! [`Object::value_mut`], write them with [`to_yaml`]. Each knows the [`Place`] that it came from.
//!
//! A [`Renderer`] is for many renderings of one tree, such as all overlays of a base:
//! the parsed files that they share are kept. [`render_source`] takes directories of plain
//! manifests too, and [`load_manifests`] nothing else.
//!
//! The behaviour is the reference's (kustomize 5), its output style and name hashes included. What
//! it knows and this crate does not is an [error](Problem::Unsupported) at the field that asks for
//! it, never silence: plugins that run programs or containers. Remote bases and files, and Helm
//! charts, are left to who is asked for them: a [`Renderer`] takes a [`Remotes`] and a [`Helm`].
//!
//! An [`Error`] has a [`Place`] (file, line, column and the path of the field) and a [`Problem`]. Hostile
//! input ends in one, too: [`Limits`] bound what is read, nested and multiplied.

/// The README's examples, compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod budget;
mod build;
mod error;
mod expression;
mod field_path;
mod field_spec;
mod fields;
mod file_names;
mod finish;
mod fs;
mod generate;
mod helm;
mod kustomization;
mod name_reference;
mod object;
mod options;
mod patch;
mod path;
mod plain;
mod remote;
mod renderer;
mod resource;
mod source;
mod yaml;

pub use error::{Error, Place, Position, Problem};
pub use file_names::file_names;
pub use fs::{DiskFileSystem, FileKind, FileSystem, Found, MemoryFileSystem};
pub use helm::{ChartFiles, Helm, HelmChart};
pub use object::{Object, to_yaml};
pub use options::{Limits, LoadRestrictor, Options};
pub use path::TreePath;
pub use remote::{RemoteError, Remotes, Repository};
pub use renderer::Renderer;

use patch::Types;
use remote::Trees;
use source::Source;

/// Renders the kustomization in the directory `path`.
///
/// # Errors
/// The first problem met, with its place; see [`Problem`].
pub fn render(fs: &dyn FileSystem, path: &TreePath, options: &Options) -> Result<Vec<Object>, Error> {
    alone(fs, options, &|source| build::render(source, path))
}

/// Loads the objects of all `*.yaml` and `*.yml` files directly in the directory `path`, sorted by
/// file name and otherwise as they are. Hidden files and directories inside are left alone.
///
/// # Errors
/// The first problem met, with its place; see [`Problem`].
pub fn load_manifests(fs: &dyn FileSystem, path: &TreePath, options: &Options) -> Result<Vec<Object>, Error> {
    alone(fs, options, &|source| plain::load(source, path))
}

/// Renders the directory `path` if it has a kustomization file, and loads its plain manifests if not.
///
/// # Errors
/// The first problem met, with its place; see [`Problem`].
pub fn render_source(fs: &dyn FileSystem, path: &TreePath, options: &Options) -> Result<Vec<Object>, Error> {
    alone(fs, options, &|source| build::render_source(source, path))
}

/// Nothing is fetched, run or kept.
fn alone<T>(fs: &dyn FileSystem, options: &Options, work: &dyn Fn(Source<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let (types, trees) = (Types::default(), Trees::default());
    work(Source { fs, options, types: &types, files: None, trees: &trees, helm: None })
}
