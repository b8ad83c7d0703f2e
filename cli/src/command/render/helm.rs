//! Charts, rendered by the user's own helm. It works on copies in a folder that goes with it, so that a chart may come out
//! of any tree, and nothing is written into the user's. A chart that is pulled in an exact version is kept in the cache.

use super::{
    cache::Cache,
    process::{ProcessError, run},
    remotes::wait,
};
use crate::args::Helm as HelmArgs;
use lapdev_kustomize::{
    ChartFiles, DiskFileSystem, FileKind, FileSystem, Found, Helm, HelmChart, RemoteError, TreePath,
};
use std::{cell::Cell, fs, io, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::process::Command;

/// How long helm may take; a pull asks a server that may be far.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most that a chart may hold.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: usize = 256 << 20;
const MAX_DEPTH: usize = 64;

/// Why helm was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// Another generation.
    #[error("helm 3 or 4 is needed, and `{0}` says that it is {1}; name another with --helm-command")]
    Version(String, String),
    /// A chart that others wrote must not choose helm's plugins.
    #[error("`configHome` is not for kustomizations that are fetched; remove it there")]
    ConfigHome,
    /// Too many files, or too large.
    #[error("the chart holds more than {MAX_FILES} files and folders, {MAX_BYTES} bytes or {MAX_DEPTH} levels")]
    TooLarge,
    /// helm said that it pulled something else.
    #[error("helm pulled no folder of the chart's name")]
    NothingPulled,
    /// A file could not be copied.
    #[error("cannot copy the chart")]
    Copy(#[from] io::Error),
    /// helm did not do it.
    #[error(transparent)]
    Helm(#[from] ProcessError),
}

/// The user's helm.
#[derive(Debug)]
pub struct HelmProgram<'a> {
    args: &'a HelmArgs,
    /// Whether the rendered kustomization was fetched.
    is_remote: bool,
    checked: Cell<bool>,
}

impl<'a> HelmProgram<'a> {
    /// Runs nothing yet.
    pub fn new(args: &'a HelmArgs, is_remote: bool) -> Self {
        Self { args, is_remote, checked: Cell::new(false) }
    }

    fn run(&self, arguments: &[String], chart: &HelmChart, folder: &Path) -> Result<String, RemoteError> {
        let name = &self.args.helm_command;
        if self.is_remote && chart.config_home.is_some() {
            return Err(HelmError::ConfigHome.into());
        }
        let home = chart.config_home.clone().unwrap_or_else(|| folder.join("helm").display().to_string());
        let mut command = Command::new(name);
        command.args(arguments).env("HELM_CONFIG_HOME", &home);
        command.env("HELM_CACHE_HOME", format!("{home}/.cache")).env("HELM_DATA_HOME", format!("{home}/.data"));
        let out = wait(async { run(command, name, PATIENCE).await.map_err(HelmError::Helm) })?;
        Ok(String::from_utf8(out)?)
    }

    /// Asks once for the version, which is the reference's first question too.
    fn check(&self, chart: &HelmChart, folder: &Path) -> Result<(), RemoteError> {
        if self.checked.replace(true) {
            return Ok(());
        }
        let said = self.run(&["version", "--short"].map(str::to_owned), chart, folder)?;
        let major: String = said.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        match major.as_str() {
            "3" | "4" => Ok(()),
            _ => Err(HelmError::Version(self.args.helm_command.clone(), said.trim().to_owned()).into()),
        }
    }
}

impl Helm for HelmProgram<'_> {
    fn pull(&self, chart: &HelmChart) -> Result<Box<dyn FileSystem>, RemoteError> {
        // A line's end is in neither, so that no two of them are one.
        let cache = Cache::of("charts", &format!("{}\n/{}", chart.repo, chart.name))?;
        let exact = is_exact(&chart.version).then_some(chart.version.as_str());
        if let Some(kept) = exact.and_then(|version| cache.get(version)) {
            return Ok(Box::new(DiskFileSystem::open(kept)?));
        }
        let folder = cache.fresh()?;
        self.check(chart, folder.path())?;
        let pulled = folder.path().join("pulled");
        self.run(&chart.pull_arguments(&pulled.display().to_string()), chart, folder.path())?;
        let chart_folder = pulled.join(chart.name.rsplit('/').next().unwrap_or_default());
        if !chart_folder.join("Chart.yaml").is_file() {
            return Err(HelmError::NothingPulled.into());
        }
        match exact {
            Some(version) => Ok(Box::new(DiskFileSystem::open(cache.keep(&chart_folder, version)?)?)),
            None => Ok(Box::new(Pulled { fs: DiskFileSystem::open(chart_folder)?, _folder: folder })),
        }
    }

    fn template(&self, chart: &HelmChart, files: &ChartFiles<'_>) -> Result<String, RemoteError> {
        let mut chart = chart.clone();
        if chart.kube_version.is_empty() {
            chart.kube_version.clone_from(&self.args.helm_kube_version);
        }
        if chart.api_versions.is_empty() {
            chart.api_versions.clone_from(&self.args.helm_api_versions);
        }
        chart.debug |= self.args.helm_debug;
        let folder = tempfile::Builder::new().prefix("lapdev-helm-").tempdir()?;
        self.check(&chart, folder.path())?;
        let target = folder.path().join("chart");
        Copy { fs: files.fs, files: 0, bytes: 0 }.folder(files.path, &target, 0)?;
        let mut values = Vec::new();
        for (at, content) in files.values.iter().enumerate() {
            let path = folder.path().join(format!("values-{at}.yaml"));
            fs::write(&path, content)?;
            values.push(path.display().to_string());
        }
        self.run(&chart.arguments(&target.display().to_string(), &values), &chart, folder.path())
    }
}

/// `1.2.3` and the like, which a repository gives out once; `1.x` and `>1` are others tomorrow.
fn is_exact(version: &str) -> bool {
    let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    core.split('.').count() == 3 && core.split('.').all(is_number) && !version.contains(['/', ' '])
}

/// A pulled chart that goes when nobody reads it any more.
struct Pulled {
    fs: DiskFileSystem,
    _folder: TempDir,
}

impl FileSystem for Pulled {
    fn find(&self, path: &TreePath) -> io::Result<Option<Found>> {
        self.fs.find(path)
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        self.fs.read(path)
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<String>> {
        self.fs.list(path)
    }
}

/// Copies a folder out of a tree, links followed as far as the tree lets them lead.
struct Copy<'f> {
    fs: &'f dyn FileSystem,
    files: usize,
    bytes: usize,
}

impl Copy<'_> {
    fn folder(&mut self, from: &TreePath, to: &Path, depth: usize) -> Result<(), HelmError> {
        if depth > MAX_DEPTH {
            return Err(HelmError::TooLarge);
        }
        fs::create_dir(to)?;
        // Folders count too: links can double them on each level.
        self.count(0)?;
        for name in self.fs.list(from)? {
            let Some(path) = from.join(&name).filter(|_| !name.contains('/')) else { continue };
            match self.fs.find(&path)? {
                Some(Found { path, kind: FileKind::Directory }) => self.folder(&path, &to.join(&name), depth + 1)?,
                Some(Found { path, kind: FileKind::File }) => {
                    let content = self.fs.read(&path)?;
                    self.count(content.len())?;
                    fs::write(to.join(&name), content)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), HelmError> {
        (self.files, self.bytes) = (self.files + 1, self.bytes + bytes);
        match self.files > MAX_FILES || self.bytes > MAX_BYTES {
            true => Err(HelmError::TooLarge),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_links_double_fill_no_disk() {
        let (tree, target) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for at in 0..12 {
            let folder = tree.path().join(format!("{at:02}"));
            fs::create_dir(&folder).expect("a folder");
            for name in ["a", "b"] {
                std::os::unix::fs::symlink(format!("../{:02}", at + 1), folder.join(name)).expect("a link");
            }
        }
        fs::create_dir(tree.path().join("12")).expect("a folder");
        let fs = DiskFileSystem::open(tree.path()).expect("it is there");
        let from = TreePath::parse("00").expect("inside");
        // 8191 folders and no file; without a bound this is how many there are, with 64 levels the disk is full.
        let mut copy = Copy { fs: &fs, files: MAX_FILES - 100, bytes: 0 };
        let copied = copy.folder(&from, &target.path().join("chart"), 0);
        assert!(matches!(copied, Err(HelmError::TooLarge)), "{copied:?}");
    }

    #[test]
    fn only_an_exact_version_is_the_same_tomorrow() {
        for exact in ["1.2.3", "v1.2.3", "1.2.3-rc.1", "1.2.3+build"] {
            assert!(is_exact(exact), "{exact}");
        }
        for other in ["", "1.2", "1.x.3", "^1.2.3", ">1.2.3", "1.2.3 - 2.0.0", "1.2.3-a/../b"] {
            assert!(!is_exact(other), "{other}");
        }
    }
}
