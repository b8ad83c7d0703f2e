//! What a person sees of a play: each step with the time it took.

use super::Error;
use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// Prints steps, and how long each took.
pub struct Steps {
    begun: Instant,
    to: To,
}

enum To {
    /// The demo's reader.
    Stdout { bold: bool },
    /// Past the test harness, which keeps what passing tests print to itself; each line begins with this.
    Stderr(&'static str),
}

impl Default for Steps {
    fn default() -> Self {
        let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { begun: Instant::now(), to: To::Stdout { bold } }
    }
}

impl Steps {
    /// For a test: one line for each step, on stderr.
    #[must_use]
    pub fn of_test(name: &'static str) -> Self {
        Self { begun: Instant::now(), to: To::Stderr(name) }
    }

    /// Does one step: says what before, how long after, and which one failed.
    pub async fn step<T>(&self, what: &str, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if let To::Stdout { bold } = self.to {
            let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            self.say(&format!("{on}▸ {what}{off}"));
        }
        let begun = Instant::now();
        let result = step.await.map_err(|error| -> Error { format!("{what}: {error}").into() })?;
        let took = begun.elapsed().as_secs_f64();
        match self.to {
            To::Stdout { .. } => self.say(&format!("  {took:.1} s")),
            To::Stderr(_) => self.say(&format!("{what}: {took:.1} s")),
        }
        Ok(result)
    }

    /// Prints something to look at, indented.
    pub fn show(&self, text: &str) {
        text.trim_end().lines().for_each(|line| self.say(&format!("    {line}")));
    }

    /// Prints how long all of it took.
    pub fn done(&self) {
        self.say(&format!("done in {:.0} s", self.begun.elapsed().as_secs_f64()));
    }

    /// Prints a line; a reader that went away is no reason to stop before the teardown.
    pub fn say(&self, line: &str) {
        let _ = match self.to {
            To::Stdout { .. } => writeln!(std::io::stdout(), "{line}"),
            To::Stderr(name) => writeln!(std::io::stderr(), "{name}: {line}"),
        };
    }
}
