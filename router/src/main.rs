//! `lapdev-router`: reads its settings, reaches the API server, and routes until it is told to stop.

use lapdev_router::{run::run, settings::Settings};
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The settings are not fine.
const USAGE: u8 = 2;
/// What is needed could not be had.
const FAILED: u8 = 3;
/// What is logged unless `LAPDEV_LOG` says otherwise: a watch that fails says so itself, and its client would say each
/// attempt as an error.
const LOG: &str = "info,kube_client=off";

fn main() -> ExitCode {
    if let Some("--version" | "-V") = std::env::args().nth(1).as_deref() {
        let said = writeln!(std::io::stdout(), concat!("lapdev-router ", env!("CARGO_PKG_VERSION")));
        return said.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS);
    }
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &error),
    };
    log();
    // The control side alone: workers have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(&settings)),
        Err(error) => fail(FAILED, &error),
    }
}

async fn serve(settings: &Settings) -> ExitCode {
    // One provider for every TLS connection, chosen before the first is made.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = match kube::Client::try_default().await {
        Ok(client) => client,
        Err(error) => return fail(FAILED, &error),
    };
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = settings.namespace, "starts");
    match run(client, settings, &stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

/// The first SIGTERM or SIGINT begins the drain; the second ends the process.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be waited for");
        return;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        if stop.is_cancelled() {
            std::process::exit(i32::from(FAILED));
        }
        stop.cancel();
    }
}

fn log() {
    let filter = EnvFilter::try_from_env("LAPDEV_LOG").unwrap_or_else(|_| EnvFilter::new(LOG));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { builder.init() } else { builder.json().init() }
}

/// Says why, with every reason behind it.
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("lapdev-router: {error}");
    let mut cause = error.source();
    while let Some(why) = cause {
        text += &format!(": {why}");
        cause = why.source();
    }
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}
