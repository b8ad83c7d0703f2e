//! The parts of GitHub's JSON that we read, and how they become our own types. Unknown fields are ignored, so that no
//! new shape fails a listing.

use crate::{CommitState, CommitStatus, PullRequest, PullRequestState, RepositoryInfo};
use lapdev_api::name::{BranchRef, NameError, RepositoryId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Deserialize)]
pub(super) struct Repository {
    id: u64,
    full_name: String,
    default_branch: String,
    clone_url: String,
}

impl TryFrom<Repository> for RepositoryInfo {
    type Error = NameError;
    fn try_from(repository: Repository) -> Result<Self, NameError> {
        Ok(Self {
            id: repository_id(repository.id)?,
            name: repository.full_name.parse()?,
            default_branch: repository.default_branch.parse()?,
            clone_url: repository.clone_url,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) login: String,
}

#[derive(Deserialize)]
pub(super) struct App {
    pub(super) slug: String,
}

#[derive(Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
}

#[derive(Deserialize)]
pub(super) struct Pull {
    number: u64,
    title: String,
    html_url: String,
    state: String,
    draft: Option<bool>,
    merged_at: Option<String>,
    user: Option<Account>,
    #[serde(default)]
    labels: Vec<Label>,
    head: End,
    base: Base,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<EndRepository>,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    branch: String,
    repo: EndRepository,
}

#[derive(Deserialize)]
struct EndRepository {
    id: u64,
}

impl Pull {
    /// The branches that it comes from and aims at, if they have names that lapdev can speak of. Anybody who may fork or
    /// push chooses these names, so an odd one must not fail the listing of all others.
    pub(super) fn branches(&self) -> Result<(BranchRef, BranchRef), NameError> {
        Ok((self.head.branch.parse()?, self.base.branch.parse()?))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl TryFrom<Pull> for PullRequest {
    type Error = String;
    fn try_from(pull: Pull) -> Result<Self, String> {
        let illegal = |error: NameError| error.to_string();
        let (head_ref, base_ref) = pull.branches().map_err(illegal)?;
        let head = pull.head.repo.as_ref().map(|repository| repository.id);
        Ok(Self {
            number: pull.number,
            repository_id: repository_id(pull.base.repo.id).map_err(illegal)?,
            head_ref,
            head: pull.head.sha.parse().map_err(illegal)?,
            head_repository_id: head.map(repository_id).transpose().map_err(illegal)?,
            fork: head != Some(pull.base.repo.id),
            base_ref,
            draft: pull.draft.unwrap_or_default(),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            author: pull.user.map_or_else(|| "ghost".to_owned(), |user| user.login),
            state: match (pull.state.as_str(), pull.merged_at) {
                ("open", _) => PullRequestState::Open,
                ("closed", Some(_)) => PullRequestState::Merged,
                ("closed", None) => PullRequestState::Closed,
                // Environments end because a pull request is closed: what GitHub does not call so is not.
                (other, _) => return Err(format!("pull request #{} has the unknown state {other:?}", pull.number)),
            },
            title: pull.title,
            url: pull.html_url,
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    body: Option<String>,
    pub(super) issue_url: String,
    user: Option<CommentAuthor>,
}

#[derive(Debug, Clone, Deserialize)]
struct CommentAuthor {
    login: String,
}

impl Comment {
    /// Its Markdown.
    pub(super) fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }

    /// Whether this account wrote it. GitHub compares logins without regard to case.
    pub(super) fn is_by(&self, login: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(login))
    }

    /// Whether it stands at this pull request.
    pub(super) fn is_at(&self, number: u64) -> bool {
        self.issue_url.rsplit('/').next() == Some(&number.to_string())
    }
}

#[derive(Serialize)]
pub(super) struct NewStatus<'a> {
    state: &'static str,
    context: &'a str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<&'a str>,
}

impl<'a> From<&'a CommitStatus> for NewStatus<'a> {
    fn from(status: &'a CommitStatus) -> Self {
        Self {
            state: match status.state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failure",
                CommitState::Error => "error",
            },
            context: &status.context,
            description: super::text::description(&status.description),
            target_url: status.target_url.as_deref(),
        }
    }
}

/// One value out of a body, or what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn repository_id(id: u64) -> Result<RepositoryId, NameError> {
    id.to_string().parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pull(change: impl FnOnce(&mut Value)) -> Result<PullRequest, String> {
        let end = |branch: &str| json!({"ref": branch, "sha": "0".repeat(40), "repo": {"id": 42}});
        let mut pull = json!({"number": 7, "title": "x", "html_url": "https://github.com/acme/shop/pull/7",
            "state": "open", "head": end("feature/x"), "base": end("main")});
        change(&mut pull);
        parse::<Pull>(pull.to_string().as_bytes())?.try_into()
    }

    #[test]
    fn only_what_github_calls_closed_is_closed() {
        let state = |state: &str, merged: Value| {
            let found = pull(|pull| (pull["state"], pull["merged_at"]) = (state.into(), merged));
            found.map(|pull| pull.state)
        };
        assert_eq!(state("open", Value::Null), Ok(PullRequestState::Open));
        assert_eq!(state("closed", Value::Null), Ok(PullRequestState::Closed));
        assert_eq!(state("closed", "2026-11-21T08:00:00Z".into()), Ok(PullRequestState::Merged));
        assert!(state("archived", Value::Null).is_err(), "no evidence of an end");
    }

    #[test]
    fn a_pull_request_says_which_repository_it_is_in() {
        let own = pull(|_| ()).expect("readable");
        assert_eq!((own.repository_id.as_str(), own.fork), ("42", false));
        let foreign = pull(|pull| pull["head"]["repo"]["id"] = 43.into()).expect("readable");
        assert_eq!((foreign.repository_id.as_str(), foreign.fork), ("42", true));
        assert!(pull(|pull| pull["head"]["repo"] = Value::Null).expect("readable").fork, "its repository was deleted");
    }
}
