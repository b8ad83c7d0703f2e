//! `make bench`: the main loop's speed beside its floors, the router's beside its peers, and the renderer's beside the
//! reference's.

pub mod kustomize;
pub mod main_loop;
mod median;
pub mod router;

use crate::stage::Error;
use std::path::PathBuf;

/// One of the binaries that users run, as they run it (profile `release`), for figures beside other programs. The bench
/// itself is of profile `fast`, in the folder beside.
pub fn released(name: &str) -> Result<PathBuf, Error> {
    let here = std::env::current_exe()?;
    let built = here.ancestors().nth(2).map(|target| target.join("release").join(name)).filter(|path| path.is_file());
    built.ok_or_else(|| format!("{name} is not built with profile `release`: `make bench` builds it").into())
}
