//! The loop: wakes when a delivery came, when the ledger changed or when it is time, makes a pass, and writes what the
//! passes say to the forge. The edge of the crate: everything that waits or fails is here.
//!
//! A pass that fails has written nothing; it is made again, after a pause that grows. Nothing is ever deleted because
//! something failed.

mod beside;
mod config;
mod look;
mod memo;
mod pass;
mod renderer;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod wake;
mod world;

pub use settings::Settings;

use crate::{
    git::{Bases, GitError, Mirrors},
    report::Reporter,
};
use lapdev_api::words::error_chain;
use lapdev_forge::Forge;
use lapdev_store::{PublishError, Store, StoreError};
use pass::Memory;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wake::Wake;

/// The folder of remote bases, beside the mirrors.
const BASES: &str = "git-bases";
/// How often the store forgets what is old.
const PRUNE: Duration = Duration::from_secs(3600);

/// A pass that failed.
#[derive(Debug, thiserror::Error)]
enum PassError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The store refused the plan: something changed under way. The next pass sees it.
    #[error("the store refused the publication")]
    Publish(#[from] PublishError),
    /// There is no config to go by.
    #[error("the config repository cannot be read: {0}")]
    NoConfig(String),
    /// A task of ours ended early.
    #[error("rendering ended early")]
    Task(#[source] tokio::task::JoinError),
    /// No random bytes for a uid.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// The reconciler.
pub struct Reconciler {
    settings: Arc<Settings>,
    store: Store,
    forge: Arc<dyn Forge>,
    mirrors: Mirrors,
    bases: Bases,
}

impl Reconciler {
    /// Opens the folder of mirrors.
    ///
    /// # Errors
    /// When it cannot be used, or the git settings are refused.
    pub fn new(settings: Settings, store: Store, forge: Arc<dyn Forge>) -> Result<Self, GitError> {
        let mirrors = Mirrors::open(&settings.mirrors, settings.git.clone())?;
        let bases = Bases::open(settings.mirrors.with_file_name(BASES), &settings.git, settings.remote_bases.clone())?;
        Ok(Self { settings: Arc::new(settings), store, forge, mirrors, bases })
    }

    /// Reconciles and reports until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let reporter = Reporter::new(Arc::clone(&self.settings), self.store.clone(), Arc::clone(&self.forge));
        tokio::join!(self.reconcile(&shutdown), reporter.run(&shutdown));
    }

    async fn reconcile(&self, shutdown: &CancellationToken) {
        let mut wake = Wake::new(&self.store, self.settings.poll);
        let (mut memory, mut next_prune) = (Memory::default(), Instant::now());
        loop {
            let scope = tokio::select! {
                () = shutdown.cancelled() => return,
                scope = wake.next() => scope,
            };
            if Instant::now() >= next_prune {
                next_prune = Instant::now() + PRUNE;
                self.prune().await;
            }
            let begun = Instant::now();
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = self.pass(&mut memory, scope) => done,
            };
            match done {
                Ok(done) => {
                    tracing::debug!(?scope, changed = done.changed, took = ?begun.elapsed(), "pass");
                    wake.after(done);
                }
                Err(error) => {
                    let pause = wake.after_failure(scope);
                    tracing::error!(error = %error_chain(&error), ?pause, "a pass failed; nothing of it was written");
                }
            }
        }
    }

    async fn prune(&self) {
        if let Err(error) = self.store.prune(jiff::Timestamp::now()).await {
            tracing::warn!(error = %error_chain(&error), "old entries are kept");
        }
    }
}
