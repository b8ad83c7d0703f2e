//! The `lapdev` command. It has no logic of its own: it reads arguments and settings, calls the part that knows, and
//! prints. Data goes to stdout, messages to stderr; `exit` has the exit codes.

mod args;
mod client;
mod command;
mod data_dir;
mod exit;
mod output;
mod settings;

use args::{Cli, Command};
use clap::Parser;
use command::{audit, explain, get, render, serve, token, trace, validate};
use exit::Failure;
use lapdev_api::view::TraceAsked;
use std::{process::ExitCode, time::Duration};

const THREADS_PATIENCE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Validate { dir, path, output } => validate::run(&dir, path.as_deref(), output),
        Command::Render(render) => render::run(&render),
        Command::Serve { config } => block_on(|| serve::run(&config)),
        Command::Get { what } => block_on(|| get::run(what)),
        Command::Explain { name, server } => block_on(|| explain::run(&name, &server)),
        Command::Trace { name, service, path, output, server } => {
            block_on(|| trace::run(&name, TraceAsked { service, path }, output, &server))
        }
        Command::Audit { output, server } => block_on(|| audit::run(output, &server)),
        Command::Token { what } => block_on(|| token::run(what)),
    }
}

/// Runs what talks to others. A thread that cannot be stopped, such as a fetch from a server that hangs, is not waited
/// for. The future is made in here, and never in the caller: these are large, and each start of `lapdev render` would
/// have the room for all of them on its stack.
#[inline(never)]
fn block_on<F>(command: impl FnOnce() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    client::install_tls_provider();
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::not_fine)?;
    let outcome = runtime.block_on(command());
    runtime.shutdown_timeout(THREADS_PATIENCE);
    outcome
}
