//! GitHub, and GitHub Enterprise, by octocrab: the transport, authentication and token renewal are its own; pages,
//! conditions, limits and the meaning of answers are ours, because octocrab's typed calls fail on shapes that they do
//! not know and hide what we must see (`Link`, `ETag`, rate limits).

mod answer;
mod client;
mod comment;
mod link;
mod listing;
mod session;
mod settings;
mod text;
mod transport;
mod wire;

pub use settings::{Credentials, GitHubSettings, PUBLIC_API, SetupError};

use crate::{CommitStatus, Complete, Forge, ForgeError, PullRequest, RepositoryInfo};
use async_trait::async_trait;
use client::{Ask, Client};
use http::Method;
use lapdev_api::name::{Commit, RepositoryName};
use listing::Remembered;
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

type Pulls = Vec<Remembered<Option<PullRequest>>>;

/// GitHub, seen through one set of credentials.
pub struct GitHub {
    client: Client,
    pulls: Mutex<HashMap<RepositoryName, Pulls>>,
    turns: comment::Turns,
    settle: Duration,
}

impl GitHub {
    /// Reads the credentials and authorities. Connects to nothing yet, but needs a tokio runtime to be entered.
    ///
    /// # Errors
    /// When a file is missing or holds something else, or the address is none.
    pub fn new(settings: &GitHubSettings) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(settings)?,
            pulls: Mutex::default(),
            turns: comment::Turns::default(),
            settle: settings.settle,
        })
    }

    fn remembered(&self, repository: &RepositoryName) -> Pulls {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner).get(repository).cloned().unwrap_or_default()
    }

    fn remember(&self, repository: &RepositoryName, pages: Pulls) {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.clone(), pages);
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHub").field("api_url", &self.client.base.as_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn repository(&self, repository: &RepositoryName) -> Result<RepositoryInfo, ForgeError> {
        let what = format!("reading repository {repository}");
        let path = self.client.path(&format!("/repos/{}", two_parts(repository)?));
        let found: wire::Repository = self.client.ask(repository, &Ask::get(&what, path)).await?.read(&what)?;
        found.try_into().map_err(|error| odd(&what, &error))
    }

    async fn open_pull_requests(&self, repository: &RepositoryName) -> Result<Complete<Vec<PullRequest>>, ForgeError> {
        let what = format!("listing the open pull requests of {repository}");
        // Oldest first: a new one goes to the end and moves no other.
        let query = format!("state=open&sort=created&direction=asc&per_page={}", listing::PAGE);
        let place = self.client.path(&format!("/repos/{}/pulls?{query}", two_parts(repository)?));
        let of = listing::Of { what: &what, repository, place, read: pulls };
        let mut pages = self.remembered(repository);
        let complete = listing::read(&self.client, &of, &mut pages).await?;
        self.remember(repository, pages);
        Ok(complete.flatten())
    }

    async fn pull_request(&self, repository: &RepositoryName, number: u64) -> Result<PullRequest, ForgeError> {
        let what = format!("reading pull request {repository} #{number}");
        let path = self.client.path(&format!("/repos/{}/pulls/{number}", two_parts(repository)?));
        let found: wire::Pull = self.client.ask(repository, &Ask::get(&what, path)).await?.read(&what)?;
        found.try_into().map_err(|error| odd(&what, &error))
    }

    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        number: u64,
        known: Option<u64>,
        marker: &str,
        body: &str,
    ) -> Result<u64, ForgeError> {
        two_parts(repository)?;
        let wanted = comment::Wanted { repository, number, known, marker, body, settle: self.settle };
        comment::upsert(&self.client, &self.turns, &wanted).await
    }

    async fn set_commit_status(
        &self,
        repository: &RepositoryName,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), ForgeError> {
        let what = format!("setting the status of {repository}@{commit}");
        let path = self.client.path(&format!("/repos/{}/statuses/{commit}", two_parts(repository)?));
        let body = serde_json::to_value(wire::NewStatus::from(status)).map_err(|error| odd(&what, &error))?;
        self.client.ask(repository, &Ask::send(&what, Method::POST, path, body)).await.map(drop)
    }
}

/// GitHub has no groups below groups; a name that has would reach another endpoint.
fn two_parts(repository: &RepositoryName) -> Result<&RepositoryName, ForgeError> {
    if repository.as_str().matches('/').count() == 1 {
        return Ok(repository);
    }
    let message = "on GitHub a repository is written owner/name".to_owned();
    Err(ForgeError::Unexpected { what: format!("looking for repository {repository}"), message })
}

fn pulls(body: &[u8]) -> Result<Vec<(u64, Option<PullRequest>)>, String> {
    let pulls: Vec<wire::Pull> = wire::parse(body)?;
    pulls.into_iter().map(|pull| Ok((pull.number(), nameable(pull)?))).collect()
}

/// None for a pull request from or to a branch that lapdev has no name for: it can have no environment, and its author
/// must not be able to hide all others.
fn nameable(pull: wire::Pull) -> Result<Option<PullRequest>, String> {
    if let Err(error) = pull.branches() {
        tracing::warn!(number = pull.number(), %error, "a pull request is left out");
        return Ok(None);
    }
    PullRequest::try_from(pull).map(Some)
}

fn odd(what: &str, error: &dyn fmt::Display) -> ForgeError {
    ForgeError::Unexpected { what: what.to_owned(), message: error.to_string() }
}
