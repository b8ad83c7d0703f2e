//! Starts the cluster's long-running programs, each with a log of its own in the run folder, and runs short ones with a
//! time limit. Does not end the long-running ones: the teardown does, whoever calls it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use super::error::ClusterError;
use super::run_folder::RunFolder;

/// How long a short program may take.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// The pause between two probes of a condition.
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// A command line; `within` is what puts it into namespaces (`nsenter …`), empty for none.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    words: Vec<OsString>,
}

impl CommandLine {
    pub(super) fn new(within: &[OsString], program: impl Into<OsString>) -> Self {
        let mut words = within.to_vec();
        words.push(program.into());
        Self { words }
    }

    pub(super) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.words.push(arg.into());
        self
    }

    pub(super) fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.words.extend(args.into_iter().map(Into::into));
        self
    }

    /// `--name=path`.
    pub(super) fn file(self, name: &str, path: &Path) -> Self {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(path);
        self.arg(word)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }

    fn display(&self) -> String {
        self.words.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// A running component of the cluster.
#[derive(Debug)]
pub struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Component {
    /// Starts it, in a process group of its own so that a Ctrl-C reaches the run's owner first, and records it for the
    /// teardown.
    pub(super) fn start(run: &RunFolder, name: &'static str, line: &CommandLine) -> Result<Self, ClusterError> {
        let log = run.write(format!("log/{name}.log"), "")?;
        let open = || {
            File::options().append(true).open(&log).map_err(|source| ClusterError::File {
                action: "append to",
                path: log.clone(),
                source,
            })
        };
        let child = line
            .command()
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0)
            .spawn()
            .map_err(|source| ClusterError::Start { program: name.to_owned(), source })?;
        run.record(child.id(), name)?;
        Ok(Self { name, child, log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `probe` succeeds; its error says what is still missing.
    pub(super) async fn ready_when<F>(&mut self, limit: Duration, probe: impl Fn() -> F) -> Result<(), ClusterError>
    where
        F: Future<Output = Result<(), String>>,
    {
        let end = Instant::now() + limit;
        loop {
            self.still_runs()?;
            let detail = match probe().await {
                Ok(()) => return Ok(()),
                Err(detail) => detail,
            };
            if Instant::now() > end {
                let (component, log, tail) = (self.name.to_owned(), self.log.clone(), tail(&self.log));
                return Err(ClusterError::NotReady { component, limit, detail, log, tail });
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }

    fn still_runs(&mut self) -> Result<(), ClusterError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            ended => Err(ClusterError::Ended {
                component: self.name.to_owned(),
                status: ended.ok().flatten().map_or_else(|| "unknown".to_owned(), |status| status.to_string()),
                log: self.log.clone(),
                tail: tail(&self.log),
            }),
        }
    }

    /// Collects the exit status of a process that the teardown ended, so that no zombie stays.
    pub(super) fn collect(&mut self) {
        // It fails only for a process that is not ours any more.
        let _ = self.child.wait();
    }
}

/// The last lines of a log, or why it cannot be read.
fn tail(log: &Path) -> String {
    match std::fs::read(log) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("({error})"),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Runs a short program to its end, with `input` on its standard input, and returns what it wrote to standard output.
pub(super) async fn run(line: &CommandLine, input: &[u8]) -> Result<Vec<u8>, ClusterError> {
    let start = |source| ClusterError::Start { program: line.display(), source };
    let mut child = tokio::process::Command::from(line.command())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input to the end says why by its exit status.
            let _ = stdin.write_all(input).await;
        }
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = match tokio::time::timeout(COMMAND_LIMIT, both).await {
        Ok(output) => output.map_err(start)?,
        Err(_) => return Err(ClusterError::Slow { command: line.display(), limit: COMMAND_LIMIT }),
    };
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let stderr = last_lines(&String::from_utf8_lossy(&output.stderr));
        Err(ClusterError::Command { command: line.display(), stderr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_shown_by_its_end() {
        let log: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = last_lines(&log);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 99"));
    }

    #[tokio::test]
    async fn a_failing_program_is_quoted() {
        let line = CommandLine::new(&[], "sh").args(["-c", "cat >&2; exit 3"]);
        let error = run(&line, b"no such thing").await.expect_err("exit 3 is a failure");
        assert!(error.to_string().ends_with("failed: no such thing"), "{error}");
    }
}
