//! A process in the namespace: started, asked for its processor time and memory together with its children's, ended.

use crate::{
    cluster::Namespace,
    load::cpu_time,
    stage::{Error, until},
};
use std::{
    fs::OpenOptions,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A running process; killed when dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// What a process and its children hold in memory, in MiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident.
    pub rss: f64,
    /// Resident, pages that several processes share divided among them.
    pub pss: f64,
}

impl Program {
    /// Starts it; what it prints is added to `NAME.log` in the folder `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let log = log.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { child: command.spawn().map_err(|error| format!("start {name}: {error}"))?, log })
    }

    /// Whether it still runs; else the error shows what it said.
    pub fn still_runs(&mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("ended with {status}: {}", self.said()).into()),
        }
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// The processor time that it and its children took so far.
    pub fn cpu(&self) -> Result<Duration, Error> {
        let mut sum = Duration::ZERO;
        for pid in self.family()? {
            sum += cpu_time(&pid)?;
        }
        Ok(sum)
    }

    /// What it and its children hold now.
    pub fn memory(&self) -> Result<Memory, Error> {
        let mut sum = Memory { rss: 0.0, pss: 0.0 };
        for pid in self.family()? {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            sum.rss += mebibytes(&text, "Rss:")?;
            sum.pss += mebibytes(&text, "Pss:")?;
        }
        Ok(sum)
    }

    /// Its own id and its children's.
    fn family(&self) -> Result<Vec<String>, Error> {
        let pid = self.child.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(std::iter::once(pid).chain(children.split_whitespace().map(str::to_owned)).collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is collected.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mebibytes(smaps: &str, field: &str) -> Result<f64, Error> {
    let line = smaps.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field in smaps_rollup")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

/// Waits until something listens at an address in the namespace.
pub async fn listens(inside: &Namespace, at: SocketAddr) -> Result<(), Error> {
    let connect = async || Ok(inside.connect(at, Duration::from_secs(1)).map(drop)?);
    until(&format!("a listener at {at}"), LIMIT, connect).await
}
