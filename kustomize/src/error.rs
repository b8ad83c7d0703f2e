//! What can go wrong in a rendering, and where. A rendering stops at its first error.
//!
//! Messages name what was found and what to write instead; they never quote whole documents, which
//! may hold secrets.

use crate::path::TreePath;
use crate::remote::RemoteError;
use std::fmt::{self, Write as _};

/// A spot in a file of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Place {
    /// The file, or the directory when no single file is to blame.
    pub file: TreePath,
    /// Line (from 1) and column (from 1, in characters), where known.
    pub position: Option<Position>,
    /// The path of the field, such as `images[0].newTag`; empty where none applies.
    pub field: String,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Default for Position {
    /// The start of a file.
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl Place {
    /// A whole file or directory.
    #[must_use]
    pub fn of(file: &TreePath) -> Self {
        Self { file: file.clone(), ..Self::default() }
    }

    /// The same file at a position.
    #[must_use]
    pub fn at(file: &TreePath, position: Position) -> Self {
        Self { file: file.clone(), position: Some(position), field: String::new() }
    }

    /// The same place, naming a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        Ok(())
    }
}

/// Why a tree could not be rendered, and where: `file:line:column: field: problem`.
#[derive(Debug)]
pub struct Error(Box<(Place, Problem)>);

impl Error {
    /// An error at a place.
    #[must_use]
    pub fn new(place: Place, problem: Problem) -> Self {
        Self(Box::new((place, problem)))
    }

    pub(crate) fn into_parts(self) -> (Place, Problem) {
        *self.0
    }

    /// Where it went wrong.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.0
    }

    /// What went wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0.1
    }
}

impl fmt::Display for Error {
    /// One line of bounded length, whatever the input that it quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { out: f, left: MAX_MESSAGE };
        write!(line, "{}: {}", self.place(), self.problem())?;
        match line.left {
            0 => f.write_char('…'),
            _ => Ok(()),
        }
    }
}

/// Characters of a message; names of objects and fields come from the input, and may be megabytes.
const MAX_MESSAGE: usize = 2_000;

/// Writes what a terminal would obey (line ends, escapes) as escapes, and so many characters at most.
struct Line<'w, 'f> {
    out: &'w mut fmt::Formatter<'f>,
    left: usize,
}

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars().take(self.left) {
            self.left -= 1;
            match c.is_control() {
                true => write!(self.out, "{}", c.escape_default())?,
                false => self.out.write_char(c)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem().source()
    }
}

/// The problems that a rendering can meet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file system failed.
    #[error("cannot read it from the file system")]
    Read(#[source] std::io::Error),
    /// Nothing is at the path.
    #[error("`{0}` does not exist; correct the path or add the file")]
    Missing(String),
    /// A file outside of the directory of the kustomization that names it.
    #[error("`{0}` lies outside of the directory `{1}`; move it there, or make a base of its directory")]
    OutsideRoot(String, String),
    /// The path leads out of the whole tree.
    #[error("`{0}` leads out of the tree that is rendered")]
    OutsideTree(String),
    /// Something outside of the tree, where nobody fetches such things.
    #[error("`{0}` lies outside of the tree, and remote trees and files are not fetched here; copy it into the tree")]
    NoRemotes(String),
    /// Something outside of the tree that could not be fetched; the source is what the caller's
    /// [`Remotes`](crate::Remotes) gave.
    #[error("cannot fetch {0}")]
    Remote(String, #[source] RemoteError),
    /// A chart, where nobody runs helm.
    #[error(
        "helm charts are off here; switch them on (`--enable-helm` of the command), or render the chart to files and list them under `resources`"
    )]
    NoHelm,
    /// A chart that could not be rendered.
    #[error("cannot render the helm chart `{0}`")]
    Helm(String, #[source] RemoteError),
    /// A directory without a kustomization file where one is needed.
    #[error("no kustomization.yaml, kustomization.yml or Kustomization in this directory")]
    NoKustomization,
    /// More than one kustomization file in a directory.
    #[error("both `{0}` and `{1}` are here; keep one of them")]
    TwoKustomizations(&'static str, &'static str),
    /// A kustomization file that says nothing.
    #[error("the kustomization is empty; list at least one resource")]
    EmptyKustomization,
    /// A kustomization that includes itself, directly or through others.
    #[error("`{0}` includes itself: {1}")]
    Cycle(String, String),
    /// Kustomizations or values nested beyond the limit.
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// A file or a rendering larger than the limit.
    #[error("larger than the limit of {0} {1}")]
    TooLarge(usize, &'static str),
    /// Bytes that are not UTF-8 where text is needed.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// Text that is not YAML.
    #[error("invalid YAML: {0}")]
    Syntax(String),
    /// A key that occurs twice in a mapping.
    #[error("the key `{0}` occurs twice in this mapping; remove one")]
    DuplicateKey(String),
    /// A field that the reference does not know.
    #[error("unknown field `{name}`{}", suggestion(.nearest))]
    UnknownField {
        /// The field as written.
        name: String,
        /// The known field that is nearest to it.
        nearest: Option<&'static str>,
    },
    /// A value of another type than the field has.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the field holds.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A feature of the reference that this renderer does not have yet.
    #[error("{0} is not supported by this renderer yet{1}")]
    Unsupported(String, &'static str),
    /// A Kubernetes object that lacks what every one has.
    #[error("not a Kubernetes object: {0}")]
    NotAnObject(String),
    /// Two objects with the same group, version, kind, namespace and name.
    #[error("the object {0} is already defined{1}; remove one or rename it")]
    DuplicateObject(String, String),
    /// Nothing matches a target that must exist.
    #[error("no object matches {0}")]
    NoMatch(String),
    /// Several objects match where one must.
    #[error("{0} is ambiguous: it matches {1}")]
    Ambiguous(String, String),
    /// A patch that cannot be applied.
    #[error("{0}")]
    Patch(String),
    /// Any other value that a field does not accept.
    #[error("{0}")]
    Invalid(String),
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(|| "; see the kustomization reference".to_owned(), |name| format!("; did you mean `{name}`?"))
}
