//! `make bench`: prints the tables of docs/benchmarks.md; fails when a bound is missed.

use clap::{Parser, Subcommand};
use lapdev_tests::{bench, stage::Error};
use std::{io::Write as _, process::ExitCode};

/// Measures all parts, or one.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// From a webhook to the first apply, with many environments.
    MainLoop,
    /// The router beside haproxy and nginx. Needs root, for a network namespace.
    Router(bench::router::Length),
    /// `lapdev render` beside kustomize.
    Kustomize(bench::kustomize::Length),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse().part).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(part: Option<Part>) -> Result<(), Error> {
    match part {
        Some(Part::MainLoop) => bench::main_loop::run().await,
        Some(Part::Router(length)) => bench::router::run(&length).await,
        Some(Part::Kustomize(length)) => bench::kustomize::run(&length),
        None => {
            bench::main_loop::run().await?;
            bench::router::run(&bench::router::Length::default()).await?;
            bench::kustomize::run(&bench::kustomize::Length::default())
        }
    }
}
