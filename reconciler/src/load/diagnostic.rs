//! What is wrong in a tree of files, and where: the one shape of every message of `load` and `validate`.
//!
//! Messages name fields, names and types. They never quote a value that could be a secret, nor lines of the file.

use serde::Serialize;
use std::fmt;

/// A line and a column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a file; stands for the whole of it.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong, as `path:line:column: what is wrong; what was expected`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file, from the root of the tree.
    pub path: String,
    /// Where in it.
    #[serde(flatten)]
    pub position: Position,
    /// What is wrong.
    pub message: String,
    /// What was expected, or what to write instead.
    pub expected: String,
}

impl Diagnostic {
    /// A diagnostic at a place.
    #[must_use]
    pub fn new(
        path: impl Into<String>,
        position: Position,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), position, message: message.into(), expected: expected.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.position, self.message, self.expected)
    }
}
