//! Finds the programs that a cluster is made of, by calling `tests/tools/build`, which builds what is missing (minutes,
//! once for each machine and version) and shows its progress on stderr.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ClusterError;

/// The programs of a cluster, by name.
#[derive(Debug, Clone)]
pub struct Tools(BTreeMap<String, PathBuf>);

impl Tools {
    /// Finds, and where needed builds, a group (`api`, `nodes`) or a single program such as `helm`. Blocks.
    ///
    /// # Errors
    /// When a build fails; its last lines are on stderr.
    pub fn find(group: &str) -> Result<Self, ClusterError> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/build");
        let output = Command::new(&script)
            .arg(group)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| ClusterError::Start { program: script.display().to_string(), source })?;
        if !output.status.success() {
            return Err(ClusterError::Command {
                command: format!("{} {group}", script.display()),
                stderr: "its messages are above".to_owned(),
            });
        }
        Ok(Self(parse(&String::from_utf8_lossy(&output.stdout))))
    }

    /// Where a program is. A name that the group does not hold is taken from the `PATH`, as a shell does.
    pub fn path(&self, program: &str) -> PathBuf {
        self.0.get(program).cloned().unwrap_or_else(|| program.into())
    }
}

fn parse(lines: &str) -> BTreeMap<String, PathBuf> {
    lines.lines().filter_map(|line| line.split_once(' ')).map(|(name, path)| (name.to_owned(), path.into())).collect()
}
