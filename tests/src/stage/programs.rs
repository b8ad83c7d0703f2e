//! Our own binaries as processes: where they are, starting them with their output in a file, killing them.

use super::Error;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

/// One of the workspace's binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The command and control plane.
    Lapdev,
    /// The agent.
    Agent,
    /// The router.
    Router,
    /// The GitHub double.
    Github,
    /// The example shop's service.
    ShopService,
    /// The client inside the cluster.
    Visitor,
}

impl Program {
    /// Where it was built: beside the running test or demo.
    pub fn path(self) -> Result<PathBuf, Error> {
        let name = match self {
            Self::Lapdev => "lapdev",
            Self::Agent => "lapdev-kube-manager",
            Self::Router => "lapdev-router",
            Self::Github => "github-double",
            Self::ShopService => "shop-service",
            Self::Visitor => "visitor",
        };
        let here = std::env::current_exe()?;
        let folders = here.ancestors().skip(1).take(2);
        let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| {
            format!("{name} is not built beside {}: run `cargo build --workspace --bins`", here.display()).into()
        })
    }
}

/// A process of ours; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `program` behind `prefix` (a command that enters a namespace, or nothing); what it prints is added to `log`.
    pub fn start(
        program: &Path,
        prefix: &[String],
        arguments: &[&OsStr],
        environment: &[(&str, &OsStr)],
        log: &Path,
    ) -> Result<Self, Error> {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = behind(prefix, program);
        command.args(arguments).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        Ok(Self { child: command.spawn()?, log: log.to_owned() })
    }

    /// Ends it at once, as the kernel does when memory runs out.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await?;
        Ok(())
    }

    /// Asks it to end and waits.
    pub async fn terminate(&mut self) -> Result<ExitStatus, Error> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        }
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        Ok(ended.map_err(|_| format!("did not end within 20 s of SIGTERM; its log: {}", self.log.display()))??)
    }

    /// Whether it ended by itself; its exit code is then in the error.
    pub fn still_runs(&mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("ended with {status}; the end of its log:\n{}", self.log_tail()).into()),
        }
    }

    /// The last lines that it printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// A command that runs `program` behind a prefix.
fn behind(prefix: &[String], program: &Path) -> Command {
    match prefix.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}
