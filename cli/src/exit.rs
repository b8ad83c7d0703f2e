//! How a command ends: the exit codes that scripts count on, and the one place that prints an error.

use std::{error::Error, process::ExitCode};

/// Why a command did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The input or the state is not fine (1). What is wrong was said already where there is no error.
    NotFine(Option<Box<dyn Error + Send + Sync>>),
    /// Something could not be reached (3).
    Unreachable(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The input or the state is not fine.
    pub fn not_fine(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::NotFine(Some(error.into()))
    }

    /// Something could not be reached.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable(error.into())
    }

    /// Prints the error with its causes on stderr and gives the exit code. Clap itself ends with 2 on wrong usage.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::NotFine(error) => {
                error.iter().for_each(|error| print_chain(error.as_ref()));
                ExitCode::from(1)
            }
            Self::Unreachable(error) => {
                print_chain(error.as_ref());
                ExitCode::from(3)
            }
        }
    }
}

fn print_chain(error: &(dyn Error + 'static)) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    eprintln!("lapdev: {text}");
}
