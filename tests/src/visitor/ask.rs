//! Questions in, replies out, one JSON line each, all on the same kept connections.

use super::{connection::Connections, message::Question};
use std::io::{Write as _, stdin, stdout};

/// Answers the lines of stdin, once it has ended.
///
/// # Errors
/// When a line is no [`Question`], or stdin or stdout break.
pub async fn answer_questions() -> std::io::Result<()> {
    let mut connections = Connections::default();
    for line in stdin().lines().collect::<Result<Vec<_>, _>>()? {
        let question: Question = serde_json::from_str(&line)?;
        let reply = connections.ask(&question).await;
        writeln!(stdout(), "{}", serde_json::to_string(&reply)?)?;
    }
    Ok(())
}
