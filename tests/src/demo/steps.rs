//! What the demo prints: each step with the time it took.

use crate::stage::Error;
use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// Prints steps, and how long each took.
pub struct Steps {
    begun: Instant,
    bold: bool,
}

impl Default for Steps {
    fn default() -> Self {
        let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { begun: Instant::now(), bold }
    }
}

impl Steps {
    /// Does one step: says what before, how long after, and which one failed.
    pub async fn step<T>(&self, what: &str, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.say(&format!("{}▸ {what}{}", self.mark("\x1b[1m"), self.mark("\x1b[0m")));
        let begun = Instant::now();
        let result = step.await.map_err(|error| -> Error { format!("{what}: {error}").into() })?;
        self.say(&format!("  {:.1} s", begun.elapsed().as_secs_f64()));
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
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn mark<'a>(&self, code: &'a str) -> &'a str {
        if self.bold { code } else { "" }
    }
}
