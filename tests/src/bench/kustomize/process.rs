//! One program over one tree, as a process from start to end: how long, and how much memory at its peak.

use crate::{
    bench::{median::median, released},
    cluster::Tools,
    stage::Error,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A renderer's command: the program, and what stands before the directory.
#[derive(Debug, Clone)]
pub struct Renderer {
    program: PathBuf,
    verb: &'static str,
}

impl Renderer {
    /// The reference, which is built if it is missing.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn reference() -> Result<Self, Error> {
        Ok(Self { program: Tools::find("kustomize")?.path("kustomize"), verb: "build" })
    }

    /// The command that users run.
    ///
    /// # Errors
    /// When it is not built.
    pub fn ours() -> Result<Self, Error> {
        Ok(Self { program: released("lapdev")?, verb: "render" })
    }

    /// The same program in another folder, copied as an installation copies it: what a linker has just written is in the
    /// kernel's cache page by page, and each start maps it more slowly than a copy (measured: a fifth).
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn installed(&self, folder: &Path) -> Result<Self, Error> {
        let program = folder.join(self.program.file_name().unwrap_or_default());
        std::fs::copy(&self.program, &program)?;
        Ok(Self { program, verb: self.verb })
    }

    /// Renders a directory into a file, stopped after `limit`.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, directory: &Path, output: &Path, limit: Duration) -> Result<Run, Error> {
        let helper = std::env::current_exe()?.with_file_name("measured");
        let words = [Path::new(self.verb), directory];
        let mut command = Command::new(helper);
        command.arg(limit.as_secs_f64().to_string()).arg(output).arg(&self.program).args(words);
        let answer = command.output()?;
        let line = String::from_utf8_lossy(&answer.stdout);
        let errors = String::from_utf8_lossy(&answer.stderr);
        Run::parse(line.trim())
            .ok_or_else(|| format!("{} {}: {line}{errors}", self.program.display(), directory.display()).into())
    }
}

/// One run of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// From its start to its end, in seconds.
    pub seconds: f64,
    /// Processor time, in seconds.
    pub processor: f64,
    /// The most memory that it held, in MiB.
    pub memory: f64,
    /// Whether it was stopped before it was done.
    pub stopped: bool,
}

impl Run {
    /// A line of the program `measured`; none if the program failed.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut number = || words.next()?.parse::<f64>().ok();
        let (took, processor, memory) = (number()?, number()?, number()?);
        let stopped = match words.next()? {
            "ok" => false,
            "stopped" => true,
            _ => return None,
        };
        Some(Self { seconds: took / 1e6, processor: processor / 1e6, memory: memory / f64::from(1 << 20), stopped })
    }
}

/// The runs of both programs over one tree, a pair each round.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// The reference's runs.
    pub reference: Vec<Run>,
    /// Ours.
    pub ours: Vec<Run>,
}

impl Pairs {
    /// How many times faster ours was: the median of the rounds' ratios.
    pub fn faster(&self) -> f64 {
        self.ratio(|run| run.seconds)
    }

    /// The same of the processor time.
    pub fn less_processor(&self) -> f64 {
        self.ratio(|run| run.processor)
    }

    fn ratio(&self, figure: fn(&Run) -> f64) -> f64 {
        median(self.reference.iter().zip(&self.ours).map(|(reference, ours)| figure(reference) / figure(ours)))
    }
}

/// The median time of some runs, in seconds.
pub fn seconds(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.seconds))
}

/// The median peak of some runs, in MiB.
pub fn memory(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_and_a_failed_one_is_none() {
        let run = Run { seconds: 2.0, processor: 0.5, memory: 3.0, stopped: false };
        assert_eq!(Run::parse("2000000 500000 3145728 ok"), Some(run));
        assert_eq!(Run::parse("2000000 500000 3145728 stopped"), Some(Run { stopped: true, ..run }));
        for bad in ["2000000 500000 3145728 failed", "", "1 2 3", "a 2 3 ok"] {
            assert_eq!(Run::parse(bad), None, "{bad}");
        }
    }
}
