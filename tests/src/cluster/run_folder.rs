//! The folder that holds all of a test cluster's state: data, credentials, logs, and the list of its processes. It is
//! enough to end the cluster from another process. Creates and reads that folder; starts and ends nothing.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::ClusterError;

/// The name of a test cluster: it names its run folder, network namespaces, node and cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// A name that no other cluster on this machine has.
    pub fn unique() -> Self {
        Self(format!("t{}", super::credentials::random_hex(6)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = ClusterError;

    fn from_str(name: &str) -> Result<Self, ClusterError> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        // A node's name must also end as a DNS label does.
        if begins && name.len() <= 20 && name.chars().all(legal) && !name.ends_with('-') {
            Ok(Self(name.to_owned()))
        } else {
            Err(ClusterError::Name(name.to_owned()))
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A test cluster's run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    name: ClusterName,
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new cluster, readable to its owner alone: it holds keys.
    ///
    /// # Errors
    /// [`ClusterError::Exists`] when a cluster of that name is up.
    pub fn create(name: ClusterName) -> Result<Self, ClusterError> {
        let run = Self::at(name);
        match fs::DirBuilder::new().mode(0o700).create(&run.path) {
            Ok(()) => Ok(run),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(ClusterError::Exists { name: run.name.to_string(), run: run.path })
            }
            Err(source) => Err(ClusterError::File { action: "create", path: run.path, source }),
        }
    }

    /// The folder of a cluster that is up.
    ///
    /// # Errors
    /// [`ClusterError::Absent`] when none of that name is.
    pub fn open(name: ClusterName) -> Result<Self, ClusterError> {
        let run = Self::at(name);
        if run.path.is_dir() {
            Ok(run)
        } else {
            Err(ClusterError::Absent { name: run.name.to_string(), run: run.path })
        }
    }

    fn at(name: ClusterName) -> Self {
        let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()).unwrap_or_else(|| "/tmp".into());
        let path = Path::new(&base).join(format!("lapdev-testcluster-{name}"));
        Self { name, path }
    }

    /// The cluster's name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A place in the folder.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Writes a file of the folder, making its parents.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf, ClusterError> {
        let path = self.join(relative);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| ClusterError::File {
                action: "create",
                path: parent.to_owned(),
                source,
            })?;
        }
        fs::write(&path, content).map_err(|source| ClusterError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Reads a text file of the folder.
    pub fn read(&self, relative: impl AsRef<Path>) -> Result<String, ClusterError> {
        let path = self.join(relative);
        fs::read_to_string(&path).map_err(|source| ClusterError::File { action: "read", path, source })
    }

    /// Appends a process to the list that the teardown ends. The start time tells it from a later one of the same id.
    pub fn record(&self, pid: u32, component: &str) -> Result<(), ClusterError> {
        let path = self.join("processes");
        let fail = |source| ClusterError::File { action: "append to", path: path.clone(), source };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(fail)?;
        // Field 22 of the whole line; the name before it may itself hold spaces and parentheses.
        let start = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap_or("0");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        writeln!(file, "{pid} {start} {component}").map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn names_that_could_escape_a_path_or_a_label_are_refused() {
        for bad in ["", "1a", "-a", "a-", "A", "a/b", "..", "a_b", "a.b", "abcdefghijklmnopqrstu"] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad} must be refused");
        }
        for good in ["a", "dev", "demo-2", "abcdefghijklmnopqrst"] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good} must be taken");
        }
    }
}
