//! `lapdev-kube-manager`: reads its settings, reaches the API server, and works until it is told to stop.

use lapdev_agent::{
    run::run,
    settings::{LOG, Settings, VARIABLES},
    watchdog::{self, Vitals},
};
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The settings are not fine.
const USAGE: u8 = 2;
/// What is needed could not be reached.
const UNREACHABLE: u8 = 3;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--version" | "-V") => return say(concat!("lapdev-kube-manager ", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => return say(&help()),
        Some(other) => {
            return fail(USAGE, &format!("unknown argument {other:?}; lapdev-kube-manager --help lists all"));
        }
    }
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &format!("{error}; lapdev-kube-manager --help says what it is for")),
    };
    log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(&settings)),
        Err(error) => fail(UNREACHABLE, &format!("cannot start the async runtime: {error}")),
    }
}

async fn serve(settings: &Settings) -> ExitCode {
    // One provider for every TLS connection, chosen before the first is made.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = match kube::Client::try_default().await {
        Ok(client) => client,
        Err(error) => return fail(UNREACHABLE, &format!("cannot tell how to reach the API server: {error}")),
    };
    let (vitals, stop) = (Arc::new(Vitals::default()), CancellationToken::new());
    if let Err(error) = watchdog::start(vitals.clone()) {
        return fail(UNREACHABLE, &format!("cannot start the watchdog: {error}"));
    }
    tokio::spawn(stop_on_signal(stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), url = %settings.url, "starts");
    run(client, settings, &vitals, &stop).await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// The first SIGTERM or SIGINT lets the agent finish what it does; the second ends the process.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be handled");
        return;
    };
    for last in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if last {
            std::process::exit(1);
        }
        tracing::info!("stops");
        stop.cancel();
    }
}

/// To stderr: for people on a terminal, as JSON for anything else.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(LOG));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.with_ansi(std::env::var_os("NO_COLOR").is_none()).init();
    } else {
        logs.json().init();
    }
}

fn help() -> String {
    format!("lapdev-kube-manager: applies the environments of its cluster.\n\nEnvironment variables:\n{VARIABLES}")
}

fn say(text: &str) -> ExitCode {
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "lapdev-kube-manager: {text}");
    ExitCode::from(code)
}
