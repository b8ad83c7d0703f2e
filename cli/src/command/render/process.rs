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
