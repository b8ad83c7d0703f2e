//! Runs one program and says what it took: `measured SECONDS OUTPUT PROGRAM [ARGUMENT]…` prints
//! `MICROSECONDS PROCESSOR-MICROSECONDS PEAK-BYTES` and how it ended (`ok`, `failed` or `stopped`, after so many seconds).
//!
//! A process of its own, and a small one, because the kernel counts into a child's peak what its parent held when it was
//! started. The program's standard output goes to the file OUTPUT.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fs::File,
    io::Write as _,
    process::{Command, ExitCode},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use wait4::{ResUse, Wait4 as _};

fn main() -> ExitCode {
    match run(&env::args_os().skip(1).collect::<Vec<_>>()) {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "measured: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[OsString]) -> Result<String, Box<dyn Error>> {
    let [seconds, output, program, arguments @ ..] = words else {
        return Err("usage: measured SECONDS OUTPUT PROGRAM [ARGUMENT]…".into());
    };
    let limit = Duration::from_secs_f64(seconds.to_str().ok_or("SECONDS is a number")?.parse()?);
    let output = File::create(output)?;
    let begun = Instant::now();
    let child = Command::new(program).args(arguments).stdout(output).spawn()?;
    let pid = rustix::process::Pid::from_child(&child);
    let (ended, wait) = channel::<()>();
    let watch = thread::spawn(move || {
        let stopped = wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if stopped {
            // Not there any more: then it has just ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        stopped
    });
    let ResUse { status, rusage } = child.wait4()?;
    let took = begun.elapsed();
    drop(ended);
    let end = match (watch.join().unwrap_or(true), status.success()) {
        (true, _) => "stopped",
        (false, true) => "ok",
        (false, false) => "failed",
    };
    let processor = rusage.utime + rusage.stime;
    Ok(format!("{} {} {} {end}", took.as_micros(), processor.as_micros(), rusage.maxrss))
}
