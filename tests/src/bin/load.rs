//! `load`: the load client and its backend as a program of their own, for benches and for use inside a pod. Only parses and
//! prints; the work is in `lapdev_tests::load`.

use clap::{Parser, Subcommand};
use lapdev_tests::load::{self, Amount, Ask, Plan, Protocol, VersionFrom};
use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};
use tokio::net::{TcpListener, lookup_host};

#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send requests, and print as one line of JSON what came of them. The exit code is 0 whatever the answers were.
    Run(Box<Run>),
    /// Open connections, use each once, print `holding`, and keep them until standard input ends.
    Idle {
        /// HOST:PORT.
        target: String,
        #[arg(long, default_value_t = 1000)]
        connections: usize,
    },
    /// Answer every request with 1 KiB that begins with a name. Prints the address once it listens; ends by a signal.
    Serve {
        /// ADDRESS:PORT.
        listen: SocketAddr,
        #[arg(long)]
        name: String,
        /// Bytes of a body (of a gRPC message).
        #[arg(long, default_value_t = 1024)]
        size: usize,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// HOST:PORT.
    target: String,
    #[arg(long, value_enum, default_value = "h1")]
    protocol: Protocol,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests at once on each connection; HTTP/1.1 has one.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Send so many requests.
    #[arg(long, conflicts_with = "seconds", required_unless_present = "seconds")]
    requests: Option<u64>,
    /// Send requests for so long, the warm-up included.
    #[arg(long)]
    seconds: Option<f64>,
    /// Check, but do not measure, the answers to what is begun in so many first seconds.
    #[arg(long, default_value_t = 0.0)]
    warm_up: f64,
    /// Requests a second over all connections; without it, as fast as they are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// `Host`, or `:authority`; otherwise the target's.
    #[arg(long)]
    authority: Option<String>,
    #[arg(long, default_value = "/")]
    path: String,
    /// `[tracestate:|baggage:]KEY[=VERSION]`, with - for no key: what requests carry, and which version has to answer.
    /// Several are taken in turn.
    #[arg(long, allow_hyphen_values = true)]
    ask: Vec<Ask>,
    /// What in an answer names its version.
    #[arg(long, value_enum, default_value = "body")]
    version_from: VersionFrom,
}

impl Run {
    async fn plan(self) -> Result<Plan, Box<dyn Error>> {
        let amount = match (self.requests, self.seconds) {
            (Some(count), _) => Amount::Requests(count),
            (None, seconds) => Amount::For(Duration::try_from_secs_f64(seconds.unwrap_or_default())?),
        };
        Ok(Plan {
            target: resolve(&self.target).await?,
            protocol: self.protocol,
            connections: self.connections.max(1),
            streams: self.streams.max(1),
            amount,
            warm_up: Duration::try_from_secs_f64(self.warm_up)?,
            rate: self.rate.filter(|rate| *rate > 0.0),
            authority: self.authority.unwrap_or(self.target),
            path: self.path,
            asks: if self.ask.is_empty() { vec![Ask::PLAIN] } else { self.ask },
            version_from: self.version_from,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match act(Args::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn act(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Run(run) => {
            let outcome = load::run(run.plan().await?).await?;
            say(&serde_json::to_string(&outcome)?)?;
        }
        Command::Idle { target, connections } => {
            let _held = load::hold(resolve(&target).await?, connections).await?;
            say("holding")?;
            tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
        }
        Command::Serve { listen, name, size } => {
            let listener = TcpListener::bind(listen).await?;
            say(&listener.local_addr()?.to_string())?;
            load::serve(listener, &name, size).await?;
        }
    }
    Ok(())
}

async fn resolve(target: &str) -> Result<SocketAddr, Box<dyn Error>> {
    lookup_host(target).await?.next().ok_or_else(|| format!("{target} has no address").into())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
