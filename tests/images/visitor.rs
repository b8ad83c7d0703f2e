//! The program inside the visitor's pod. `visitor stay` does nothing until it is ended; `visitor ask` answers questions
//! from stdin; `visitor soak PLAN` asks without a pause until stdin ends. `lapdev_tests::visitor` has the formats.

use lapdev_tests::visitor;
use std::{io, process::ExitCode};
use tokio::signal::unix;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["stay"] => stay().await,
        ["ask"] => visitor::answer_questions().await,
        ["soak", plan] => match serde_json::from_str(plan) {
            Ok(plan) => visitor::soak(plan).await,
            Err(error) => Err(io::Error::other(error)),
        },
        _ => Err(io::Error::other("usage: visitor stay | visitor ask | visitor soak PLAN")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("visitor: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

async fn stay() -> io::Result<()> {
    unix::signal(unix::SignalKind::terminate())?.recv().await;
    Ok(())
}
