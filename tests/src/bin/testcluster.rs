//! `testcluster`: starts, uses and ends the test cluster by hand and from the demo. Only parses and prints; the work is in
//! `lapdev_tests::cluster`.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use lapdev_tests::cluster::{
    self, ApiCluster, ClusterError, ClusterName, HandOver, Image, Namespace, NodesCluster, RunFolder,
};

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
    /// Start a cluster and print the path of the admin's kubeconfig.
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
    /// Build an image that runs the first file, with the shared libraries that it needs, and load it into the node.
    LoadImage {
        /// With host and tag, such as localhost/shop/web:1.
        image: String,
        /// The program, which becomes /FILENAME.
        program: PathBuf,
        /// More files, as SOURCE:PLACE with an absolute place.
        #[arg(value_parser = parse_file)]
        files: Vec<(PathBuf, PathBuf)>,
        /// An argument of the program; repeat for more.
        #[arg(long = "arg", allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a command in a network namespace: `out` or `cluster`.
    ExecIn {
        #[arg(value_enum)]
        place: Place,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Pass connections from a listener here to an address in a network namespace, until the cluster's end or Ctrl-C.
    HandOver {
        /// Where to listen, such as 127.0.0.1:8080.
        #[arg(long)]
        listen: SocketAddr,
        /// Which network namespace.
        #[arg(long, value_enum, default_value = "out")]
        into: Place,
        /// The address in it, such as 10.201.0.1:8080.
        #[arg(long)]
        to: SocketAddr,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// API server, controllers and scheduler; no root, no pods.
    Api,
    /// With a node, in a network namespace of its own; needs root.
    Nodes,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// Outside the cluster, where the control plane lives.
    Out,
    /// The cluster's own.
    Cluster,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("testcluster: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                message.push_str(&format!(": {error}"));
                source = error.source();
            }
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), ClusterError> {
    let name = args.name;
    match args.command {
        Step::Up { level: Level::Api, foreground } => up_api(name, foreground).await,
        Step::Up { level: Level::Nodes, foreground } => up_nodes(name, foreground).await,
        Step::Down => cluster::down(name),
        Step::Kubeconfig => {
            say(&RunFolder::open(name)?.join("admin.kubeconfig").display());
            Ok(())
        }
        Step::LoadImage { image, program, files, args } => {
            let mut image = Image::of_program(&image, &program)?.with_args(args);
            for (source, place) in files {
                image = image.with_file(&source, &place);
            }
            NodesCluster::load_image_into(name, &image).await
        }
        Step::ExecIn { place, command } => exec_in(name, place, &command),
        Step::HandOver { listen, into, to } => hand_over(name, listen, into, to).await,
    }
}

async fn up_api(name: ClusterName, foreground: bool) -> Result<(), ClusterError> {
    let cluster = ApiCluster::start_named(name).await?;
    say(&cluster.kubeconfig_path().display());
    if foreground {
        stopped().await;
        return cluster.stop();
    }
    cluster.keep()
}

async fn up_nodes(name: ClusterName, foreground: bool) -> Result<(), ClusterError> {
    if foreground {
        let cluster = NodesCluster::start_named(name).await?;
        say(&cluster.kubeconfig_path().display());
        stopped().await;
        return cluster.stop();
    }
    let fail = |source| ClusterError::File { action: "find", path: "this program".into(), source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fail)?;
    let port = listener.local_addr().map_err(fail)?.port();
    let cluster = NodesCluster::boot(name, port).await?;
    let kubeconfig = cluster.kubeconfig_path().to_owned();
    // Held until here, so that no other process took the port.
    drop(listener);
    cluster.keep(&std::env::current_exe().map_err(fail)?, port).await?;
    say(&kubeconfig.display());
    Ok(())
}

fn namespace(run: &RunFolder, place: Place) -> Namespace {
    match place {
        Place::Out => Namespace::outside(run.name()),
        Place::Cluster => Namespace::of_cluster(run.name()),
    }
}

/// Becomes the command.
fn exec_in(name: ClusterName, place: Place, words: &[String]) -> Result<(), ClusterError> {
    let run = RunFolder::open(name)?;
    let mut command = namespace(&run, place).command(&words[0]);
    let source = command.args(&words[1..]).exec();
    Err(ClusterError::Start { program: "nsenter".to_owned(), source })
}

async fn hand_over(name: ClusterName, listen: SocketAddr, into: Place, to: SocketAddr) -> Result<(), ClusterError> {
    let run = RunFolder::open(name)?;
    run.record(std::process::id(), "hand-over")?;
    let fail = |source| ClusterError::File { action: "listen on", path: listen.to_string().into(), source };
    let listener = TcpListener::bind(listen).map_err(fail)?;
    let _running = HandOver::start(listener, namespace(&run, into), to).map_err(fail)?;
    stopped().await;
    Ok(())
}

fn parse_file(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.split_once(':') {
        Some((source, place)) if place.starts_with('/') => Ok((source.into(), place.into())),
        _ => Err("expected SOURCE:PLACE with an absolute place".to_owned()),
    }
}

/// Data goes to standard output.
fn say(what: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

/// Waits for Ctrl-C. Should that be impossible, returns at once: better ended than never ending.
async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
