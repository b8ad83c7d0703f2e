//! What can go wrong with a test cluster, said so that the reader knows which part failed and what it last logged.

use std::path::PathBuf;
use std::time::Duration;

/// Why a test cluster could not be built, started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file or folder of the run could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was attempted, such as "write".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start {program}; is it installed? tests/tools/debian-packages installs what a test cluster needs")]
    Start {
        /// Its name.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("{command} failed: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// The last lines of its messages.
        stderr: String,
    },
    /// A program did not end in time.
    #[error("{command} did not end within {}", Seconds(*limit))]
    Slow {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// A component of the cluster ended by itself.
    #[error("{component} ended by itself ({status}); the last lines of {}:\n{tail}", log.display())]
    Ended {
        /// Its name.
        component: String,
        /// Its exit status.
        status: String,
        /// Its whole log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A component of the cluster did not become ready in time.
    #[error("{component} was not ready within {}: {detail}\nthe last lines of {}:\n{tail}", Seconds(*limit), log.display())]
    NotReady {
        /// Its name.
        component: String,
        /// The time it had.
        limit: Duration,
        /// What the last probe said.
        detail: String,
        /// Its whole log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// The level `nodes` was asked for without root.
    #[error(
        "a test cluster with a node needs root (network namespaces, mounts, containers); run as root, or use the level `api`"
    )]
    NotRoot,
    /// A name that cannot name a cluster.
    #[error("`{0}` cannot name a test cluster: 1 to 20 characters of a-z, 0-9 and `-`, beginning with a letter")]
    Name(String),
    /// A cluster of this name is there already.
    #[error("a test cluster `{name}` is up already ({}); end it with `testcluster down --name {name}`", run.display())]
    Exists {
        /// Its name.
        name: String,
        /// Its run folder.
        run: PathBuf,
    },
    /// No cluster of this name is up.
    #[error("no test cluster `{name}` is up ({} is not there); start one with `testcluster up --name {name}`", run.display())]
    Absent {
        /// The name.
        name: String,
        /// Where its run folder would be.
        run: PathBuf,
    },
    /// Keys or certificates could not be made.
    #[error("cannot make the cluster's certificates")]
    Certificates(#[from] rcgen::Error),
    /// An image's name lacks a part that containerd and the kubelet need to agree on it.
    #[error(
        "`{0}` cannot name an image here: it needs a host, a path and a tag other than `latest`, such as `localhost/shop/web:1`"
    )]
    ImageName(String),
    /// An image cannot be made from these files.
    #[error("cannot make the image {image}: {reason}")]
    Image {
        /// Its name.
        image: String,
        /// What is wrong.
        reason: String,
    },
    /// Something of the cluster stayed behind after its end.
    #[error("the test cluster `{name}` did not end cleanly: {left}")]
    Left {
        /// Its name.
        name: String,
        /// What was left.
        left: String,
    },
}

/// Shows a duration as seconds.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs())
    }
}
