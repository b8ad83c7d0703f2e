//! `make demo`; `KEEP=1` leaves everything up until Ctrl-C.

use std::{io::Write as _, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let keep = std::env::var("KEEP").is_ok_and(|keep| keep == "1");
    let told = tokio::select! {
        told = lapdev_tests::demo::run(keep) => told,
        // Dropping the story ends everything that it started.
        _ = tokio::signal::ctrl_c() => if keep { Ok(()) } else { Err("interrupted".into()) },
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "demo: {error}");
            ExitCode::FAILURE
        }
    }
}
