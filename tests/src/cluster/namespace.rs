//! A network namespace by name: runs commands in it, and opens sockets in it from this process. A socket belongs to the
//! namespace in which it was made, so a thread enters, makes the socket, and ends. Needs root.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::run_folder::ClusterName;

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The cluster's own: its control plane, its node and, through it, its pods.
    pub fn of_cluster(cluster: &ClusterName) -> Self {
        Self { name: format!("lapdev-{cluster}") }
    }

    /// The one outside the cluster, where lapdev's control plane, forge and git live.
    pub fn outside(cluster: &ClusterName) -> Self {
        Self { name: format!("lapdev-{cluster}-out") }
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// The words that run a command in it. Not `ip netns exec`: that hides the cgroups.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut net = OsString::from("--net=");
        net.push(self.path());
        vec!["nsenter".into(), net, "--".into()]
    }

    /// A command that runs in it; add arguments, environment and so on as usual.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program.into());
        command
    }

    /// Opens a connection from within it.
    pub fn connect(&self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        self.within(move || TcpStream::connect_timeout(&to, limit))
    }

    /// Listens within it. Port 0 chooses a free one.
    pub fn listen(&self, on: SocketAddr) -> io::Result<TcpListener> {
        self.within(move || TcpListener::bind(on))
    }

    /// Runs `job` on a thread of its own inside the namespace.
    fn within<T: Send>(&self, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let file = File::open(self.path())?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                job()
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
        })
    }
}
