//! The GitHub double as a process of its own, for the demo and for a person who wants to look around. It prints where
//! it listens, obeys `POST /_double/<command>`, and ends on SIGINT or SIGTERM.
#![allow(clippy::print_stdout)] // Its address on stdout is its interface.

use clap::Parser;
use lapdev_tests::github::{Command, Double, Identity, Options};
use std::{error::Error, net::SocketAddr, path::PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// A double of GitHub.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How others reach it, if not at the address that it listens on.
    #[arg(long)]
    url: Option<String>,
    /// Where its git repositories are kept.
    #[arg(long)]
    folder: PathBuf,
    /// Serve HTTPS with this certificate chain (PEM).
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Accept this token from the start.
    #[arg(long, default_value = "double-token")]
    token: String,
    /// Whose token it is.
    #[arg(long, default_value = "lapdev-bot")]
    login: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let identity = arguments.certificate.zip(arguments.key).map(|(certificate, key)| Identity { certificate, key });
    let (listen, url, folder) = (arguments.listen, arguments.url, std::path::absolute(arguments.folder)?);
    let double = Double::start(Options { listen, url, folder, identity }).await?;
    let login = arguments.login;
    double.run(Command::CreateToken { login, token: Some(arguments.token), read_only: false, owners: None })?;
    println!("{}", double.url());
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
