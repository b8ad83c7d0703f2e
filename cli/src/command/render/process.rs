//! Programs that fetch or render for us: without a terminal to ask at, bounded in time and output, ended with everything
//! that they started.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{ffi::OsStr, io, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::timeout,
};

/// The most that a program may print.
const MAX_OUTPUT: u64 = 64 << 20;
/// How much of what went wrong is told.
const MAX_TOLD: usize = 600;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not there.
    #[error("cannot run {program}; is it installed, and in PATH?")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{program} did not end within {after:?}")]
    Late {
        /// Which.
        program: String,
        /// How long was waited.
        after: Duration,
    },
    /// It said no.
    #[error("{program}: {said}")]
    Failed {
        /// Which.
        program: String,
        /// Its last words.
        said: String,
    },
    /// It prints without end.
    #[error("{program} prints more than {MAX_OUTPUT} bytes")]
    TooMuch {
        /// Which.
        program: String,
    },
}

/// Runs a program to its end and gives what it printed. `shown` is its name in messages.
pub async fn run(mut command: Command, shown: &str, after: Duration) -> Result<Vec<u8>, ProcessError> {
    let program = || shown.to_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|source| ProcessError::Start { program: program(), source })?;
    let mut group = Group(child);
    let ended = timeout(after, group.end()).await;
    let late = |_| ProcessError::Late { program: program(), after };
    let (status, out, err) =
        ended.map_err(late)?.map_err(|source| ProcessError::Start { program: program(), source })?;
    if out.len() as u64 >= MAX_OUTPUT {
        return Err(ProcessError::TooMuch { program: program() });
    }
    match status.success() {
        true => Ok(out),
        false => {
            let said = last_words(&err).unwrap_or_else(|| status.to_string());
            Err(ProcessError::Failed { program: program(), said })
        }
    }
}

/// A program and what it started, which all end with this.
struct Group(Child);

impl Group {
    async fn end(&mut self) -> io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        let (out, err) = tokio::try_join!(all(out), all(err))?;
        if out.len() as u64 >= MAX_OUTPUT {
            // It may wait for somebody to read on.
            self.kill();
        }
        Ok((self.0.wait().await?, out, err))
    }

    fn kill(&self) {
        // Only while it was not waited for is the number its own.
        if let Some(id) = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The end of what a program says, in one line.
fn last_words(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut said = crate::output::plain(&lines.join("; "));
    if let Some((cut, _)) = said.char_indices().rev().nth(MAX_TOLD) {
        said = format!("…{}", &said[cut..]);
    }
    (!said.is_empty()).then_some(said)
}

/// A command in a shell that lets it write no file of more than so many bytes.
pub fn limited(program: &OsStr, file_bytes: u64) -> Command {
    let mut command = Command::new("sh");
    // POSIX counts blocks of 512 bytes.
    let script = format!("ulimit -f {}; exec \"$0\" \"$@\"", file_bytes / 512);
    command.args([OsStr::new("-c"), OsStr::new(&script), program]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn sh(script: &str, folder: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        command
    }

    /// Whether a process is gone, or only waits for its parent to hear of it.
    fn is_over(id: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| matches!(rest.split_whitespace().next(), None | Some("Z" | "X")))
    }

    #[tokio::test]
    async fn what_is_late_ends_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "sleep 1000 & echo $! > child; wait";
        let ended = run(sh(script, folder.path()), "slow", Duration::from_millis(1500)).await;
        let error = ended.expect_err("it does not end by itself").to_string();
        assert_eq!(error, "slow did not end within 1.5s");
        let child = fs::read_to_string(folder.path().join("child")).expect("it was started");
        while !is_over(child.trim()) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_prints_without_end_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let ended = run(sh("yes", folder.path()), "yes", Duration::from_secs(60)).await;
        assert!(matches!(ended, Err(ProcessError::TooMuch { .. })), "{ended:?}");
    }

    #[tokio::test]
    async fn no_file_outgrows_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        for (bytes, fits) in [(1000, true), (3000, false)] {
            let mut command = limited(OsStr::new("sh"), 2048);
            command.args(["-c", &format!("head -c {bytes} /dev/zero > file")]).current_dir(folder.path());
            assert_eq!(run(command, "sh", Duration::from_secs(60)).await.is_ok(), fits, "{bytes}");
        }
    }

    #[test]
    fn last_words_are_one_line_and_not_many() {
        assert_eq!(last_words(b" a\n\n\x1b[1mb \n").as_deref(), Some("a;  [1mb"));
        assert_eq!(last_words(b"\n"), None);
        let long = last_words("ä".repeat(5000).as_bytes()).expect("words");
        assert_eq!(long.chars().count(), MAX_TOLD + 2);
    }
}
