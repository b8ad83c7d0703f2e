//! The config repository: fetched, checked, and put in force only when everything in it loads.
//!
//! A commit that does not load, a path that is not there, a remote that does not answer: each leaves the last good
//! commit in force. After a restart that one is found again by the store's memory of it.

use super::{Reconciler, error_chain, world::InForce};
use crate::{
    git::{Bases, Fetched, Mirror, RepositoryUrl},
    validate::check_tree,
};
use lapdev_api::{name::Commit, record::Problem};
use lapdev_kustomize::TreePath;
use std::{collections::BTreeSet, sync::Arc};

/// What is known of the config repository.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigState {
    /// The last good commit.
    pub in_force: Option<Arc<InForce>>,
    /// The newest commit.
    pub head: Option<Commit>,
    /// Why the newest commit is not in force.
    pub errors: Vec<String>,
    /// Why the newest commit is not known.
    pub unreadable: Option<Problem>,
}

enum Checked {
    Good(InForce),
    Bad(Vec<String>),
}

impl Reconciler {
    /// Brings the state up to date. Says whether another commit is in force than before.
    pub(super) async fn look_at_config(&self, state: &mut ConfigState) -> bool {
        let before = state.in_force.as_ref().map(|in_force| in_force.commit.clone());
        if let Err(message) = self.follow_config(state).await {
            tracing::warn!(repository = %self.settings.config_repository, %message, "config repository not readable");
            state.unreadable = Some(Problem { reason: "ConfigUnreadable".to_owned(), message });
        } else {
            state.unreadable = None;
        }
        if state.in_force.is_none() {
            self.recall_last_good(state).await;
        }
        state.in_force.as_ref().map(|in_force| &in_force.commit) != before.as_ref()
    }

    async fn follow_config(&self, state: &mut ConfigState) -> Result<(), String> {
        let branch = &self.settings.config_branch;
        let url = self.config_url().await?;
        let Fetched { mirror, listing, .. } =
            self.mirrors.fetch(&url, &BTreeSet::new()).await.map_err(|error| error_chain(&error))?;
        let Some(refs) = listing.complete() else { return Err("its listing has no branch at all".to_owned()) };
        let Some(head) = refs.branch(branch) else {
            return Err(format!("it has no branch {branch}; push it, or correct [config] branch in lapdev.toml"));
        };
        if state.head.as_ref() == Some(head) {
            return Ok(());
        }
        match self.check(mirror, head.clone()).await? {
            Checked::Good(in_force) => {
                tracing::info!(commit = %head, "config in force");
                (state.in_force, state.errors) = (Some(Arc::new(in_force)), Vec::new());
            }
            Checked::Bad(errors) => {
                tracing::warn!(commit = %head, errors = errors.len(), first = errors.first(), "config does not load");
                state.errors = errors;
            }
        }
        state.head = Some(head.clone());
        Ok(())
    }

    /// From the mirror, without the network: the commit that was in force before a restart.
    async fn recall_last_good(&self, state: &mut ConfigState) {
        let Ok(view) = self.store.config().await else { return };
        let Some(commit) = view.loaded else { return };
        let Ok(url) = self.config_url().await else { return };
        let Ok(Some(mirror)) = self.mirrors.mirror(&url) else { return };
        if let Ok(Checked::Good(in_force)) = self.check(mirror, commit.clone()).await {
            tracing::info!(%commit, "the last good config stays in force");
            state.in_force = Some(Arc::new(in_force));
        }
    }

    pub(super) async fn config_url(&self) -> Result<RepositoryUrl, String> {
        let name = &self.settings.config_repository;
        if let Some(url) = self.settings.repositories.get(name) {
            return Ok(url.clone());
        }
        let info = self.ask_forge(self.forge.repository(name)).await?;
        info.clone_url.parse().map_err(|error| error_chain(&error))
    }

    async fn check(&self, mirror: Mirror, commit: Commit) -> Result<Checked, String> {
        let folder = self.settings.config_path.clone();
        let bases = self.bases.clone();
        let work = tokio::task::spawn_blocking(move || check_commit(mirror, commit, &folder, &bases));
        work.await.unwrap_or_else(|error| Err(format!("the check ended early: {error}")))
    }
}

fn check_commit(mirror: Mirror, commit: Commit, folder: &str, bases: &Bases) -> Result<Checked, String> {
    let Some(folder) = TreePath::parse(folder) else {
        return Ok(Checked::Bad(vec![format!("{folder}: leads out of the repository; correct [config] path")]));
    };
    let tree = mirror.tree(&commit).map_err(|error| error_chain(&error))?;
    let report = check_tree(&tree, &folder, bases).map_err(|error| error_chain(&error))?;
    if report.diagnostics.is_empty() {
        return Ok(Checked::Good(InForce { config: report.config, commit, mirror }));
    }
    Ok(Checked::Bad(report.diagnostics.iter().map(ToString::to_string).collect()))
}
