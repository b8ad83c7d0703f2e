//! How a command ends: the exit codes that scripts count on, and the one place that prints an error.

use crate::output::message;
use lapdev_api::words::error_chain;
use std::{error::Error, process::ExitCode};

/// Why a command did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The input or the state is not fine (1). What is wrong was said already where there is no error.
    NotFine(Option<Box<dyn Error + Send + Sync>>),
    /// Something could not be reached (3).
    Unreachable(Box<dyn Error + Send + Sync>),
    /// The command was used wrongly (2), in a way that clap does not notice.
    Usage(Box<dyn Error + Send + Sync>),
    /// A signal ended it while it waited (130, as shells say it of Ctrl-C).
    Interrupted(Box<dyn Error + Send + Sync>),
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

    /// The command was used wrongly.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

    /// A signal ended it.
    pub fn interrupted(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Interrupted(error.into())
    }

    /// Prints the error with its causes on stderr and gives the exit code. Clap itself ends with 2 on wrong usage.
    pub fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::NotFine(error) => (error.as_ref(), 1),
            Self::Usage(error) => (Some(error), 2),
            Self::Unreachable(error) => (Some(error), 3),
            Self::Interrupted(error) => (Some(error), 130),
        };
        if let Some(error) = error {
            message(format_args!("lapdev: {}", error_chain(error.as_ref())));
        }
        ExitCode::from(code)
    }
}
