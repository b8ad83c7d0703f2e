//! Ends a cluster: runs `teardown.sh`, at once or when the owner of the cluster is gone. Knows nothing of levels.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::error::ClusterError;
use super::run_folder::{ClusterName, RunFolder};

const SCRIPT: &str = include_str!("teardown.sh");
/// How long the end of a cluster may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Watches over a cluster that this process owns: whatever ends this process (a return, a panic, Ctrl-C, kill -9), the
/// watcher's standard input closes, and it ends the cluster.
#[derive(Debug)]
pub(super) struct Watcher {
    run: RunFolder,
    child: Child,
    /// Dropping it tells the watcher to begin.
    stdin: Option<ChildStdin>,
}

impl Watcher {
    /// Begins to watch. Must come before the first process of the cluster is started.
    pub(super) fn start(run: &RunFolder) -> Result<Self, ClusterError> {
        run.write("teardown.sh", SCRIPT)?;
        let log = run.join("teardown.log");
        let stderr =
            std::fs::File::create(&log).map_err(|source| ClusterError::File { action: "create", path: log, source })?;
        let mut child = script(run)
            .arg("--watch")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|source| ClusterError::Start { program: "bash".to_owned(), source })?;
        let stdin = child.stdin.take();
        Ok(Self { run: run.clone(), child, stdin })
    }

    /// Leaves the cluster up; from now on only `testcluster down` ends it.
    pub(super) fn keep(mut self) -> Result<(), ClusterError> {
        let path = self.run.join("teardown.sh");
        let fail = |source| ClusterError::File { action: "write to", path, source };
        self.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"keep\n")).map_err(fail)?;
        let _ = self.child.wait();
        Ok(())
    }

    /// Ends the cluster now and waits until all of it is gone. A second call does nothing.
    pub(super) fn end(&mut self) -> Result<(), ClusterError> {
        if self.stdin.take().is_none() {
            return Ok(());
        }
        let end = Instant::now() + LIMIT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                _ => return Err(self.left()),
            }
        }
    }

    fn left(&self) -> ClusterError {
        let said = self.run.read("teardown.log").unwrap_or_default();
        let left = format!("{}; its folder stays: {}", said.trim().replace('\n', "; "), self.run.path().display());
        ClusterError::Left { name: self.run.name().to_string(), left }
    }
}

/// Ends a cluster that was kept, from its run folder alone.
///
/// # Errors
/// [`ClusterError::Absent`] when there is none of that name; [`ClusterError::Left`] with what could not be ended.
pub fn down(name: ClusterName) -> Result<(), ClusterError> {
    let run = RunFolder::open(name)?;
    // The folder's own copy may stem from another version, but so does the cluster: it is the right one for it.
    if !run.join("teardown.sh").is_file() {
        run.write("teardown.sh", SCRIPT)?;
    }
    let output = script(&run)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ClusterError::Start { program: "bash".to_owned(), source })?;
    if output.status.success() {
        Ok(())
    } else {
        let left = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(ClusterError::Left { name: run.name().to_string(), left })
    }
}

fn script(run: &RunFolder) -> Command {
    let mut command = Command::new("bash");
    command.arg(run.join("teardown.sh")).arg(run.path()).arg(run.name().as_str());
    command
}
