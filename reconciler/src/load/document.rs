//! Bytes of a file to its documents: size, encoding and YAML, each error with its place.

use super::{
    diagnostic::{Diagnostic, Position},
    node::Node,
    yaml,
};

/// The largest configuration file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// The documents of a file that are not empty, and what is wrong with the file. A document whose YAML has an error that
/// leaves it readable is in both.
pub(super) fn read(path: &str, bytes: &[u8]) -> (Vec<Node>, Vec<Diagnostic>) {
    let text = match text(path, bytes) {
        Ok(text) => text,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let mut nodes = Vec::new();
    let mut errors = Vec::new();
    for document in yaml::documents(text) {
        errors.extend(document.faults.into_iter().map(|f| Diagnostic::new(path, f.at, f.message, f.expected)));
        nodes.extend(document.root.filter(|root| !root.is_null()));
    }
    (nodes, errors)
}

/// The text of a file, without byte order mark.
pub(super) fn text<'b>(path: &str, bytes: &'b [u8]) -> Result<&'b str, Diagnostic> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(too_large(path));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let message = format!(
                "the file is not UTF-8: byte {:#04x} at offset {}",
                bytes[error.valid_up_to()],
                error.valid_up_to()
            );
            Err(Diagnostic::new(path, place_of(bytes, error.valid_up_to()), message, "expected text in UTF-8"))
        }
    }
}

/// What is said of a file that is too large, read or not.
pub(super) fn too_large(path: &str) -> Diagnostic {
    let expected = format!("expected at most {MAX_FILE_BYTES} bytes; split it");
    Diagnostic::new(path, Position::START, "the file is too large", expected)
}

/// Line and column of a byte; everything before it is UTF-8.
fn place_of(bytes: &[u8], offset: usize) -> Position {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: count(line), column: count(column) }
}
