//! `testcluster`: starts, uses and ends the test cluster by hand and from the demo. Only parses and prints; the work is in
//! `lapdev_tests::cluster`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use lapdev_tests::cluster::{self, ApiCluster, ClusterError, ClusterName, RunFolder};

/// A real Kubernetes for tests and demos.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Which cluster.
    #[arg(long, global = true, default_value = "dev")]
    name: ClusterName,
    #[command(subcommand)]
    command: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Start a cluster.
    Up {
        /// With or without a node.
        #[arg(long, value_enum, default_value = "api")]
        level: Level,
        /// Stay until Ctrl-C, then end the cluster.
        #[arg(long)]
        foreground: bool,
    },
    /// End a cluster and all that belongs to it.
    Down,
    /// Print the path of the admin's kubeconfig.
    Kubeconfig,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// API server, controllers and scheduler; no root, no pods.
    Api,
    /// With a node, in a network namespace of its own; needs root.
    Nodes,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "testcluster: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), ClusterError> {
    match args.command {
        Step::Up { level: Level::Api, foreground } => {
            let cluster = ApiCluster::start_named(args.name).await?;
            say(&cluster.kubeconfig_path().display());
            if foreground {
                stopped().await;
                return cluster.stop();
            }
            cluster.keep()
        }
        Step::Up { level: Level::Nodes, foreground: _ } => Err(ClusterError::NotRoot),
        Step::Down => cluster::down(args.name),
        Step::Kubeconfig => {
            say(&RunFolder::open(args.name)?.join("admin.kubeconfig").display());
            Ok(())
        }
    }
}

/// Data goes to standard output.
fn say(what: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

/// Waits for Ctrl-C.
async fn stopped() {
    // Without a signal handler the default action ends the process, and the watcher ends the cluster.
    let _ = tokio::signal::ctrl_c().await;
}
