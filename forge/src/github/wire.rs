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
    base: End,
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
struct EndRepository {
    id: u64,
}

impl Pull {
    /// The branch that it comes from, if that has a name that lapdev can speak of. Anybody who may fork a repository
    /// chooses this name, so an odd one must not fail the listing of all others.
    pub(super) fn head_ref(&self) -> Result<BranchRef, NameError> {
        self.head.branch.parse()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl TryFrom<Pull> for PullRequest {
    type Error = NameError;
    fn try_from(pull: Pull) -> Result<Self, NameError> {
        let id = |end: &End| end.repo.as_ref().map(|repository| repository.id);
        let (head, base) = (id(&pull.head), id(&pull.base));
        Ok(Self {
            number: pull.number,
            head_ref: pull.head_ref()?,
            head: pull.head.sha.parse()?,
            head_repository_id: head.map(repository_id).transpose()?,
            fork: head.is_none() || head != base,
            base_ref: pull.base.branch.parse()?,
            draft: pull.draft.unwrap_or_default(),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            author: pull.user.map_or_else(|| "ghost".to_owned(), |user| user.login),
            state: match (pull.state.as_str(), pull.merged_at) {
                ("open", _) => PullRequestState::Open,
                (_, Some(_)) => PullRequestState::Merged,
                (_, None) => PullRequestState::Closed,
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
