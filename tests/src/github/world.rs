//! What the double knows: accounts, repositories, pull requests, comments, statuses. Only data; who changes it and
//! announces that is in `action`.

use super::{action::Event, auth::Access, error::DoubleError, fault::Faults, record::Recording};
use jiff::{Timestamp, Unit};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

/// Everything, behind one lock that is never held across an await.
pub(super) struct World {
    /// How others reach the double, without a slash at the end.
    pub root: String,
    pub folder: PathBuf,
    pub repositories: BTreeMap<u64, Repository>,
    /// Names that repositories had before, for redirects.
    pub former_names: HashMap<String, u64>,
    pub users: BTreeMap<String, User>,
    pub access: Access,
    pub faults: Faults,
    pub recording: Recording,
    /// Events that were noticed by a request rather than by a push; the next announcement carries them.
    pub unannounced: Vec<Event>,
    last_id: u64,
}

pub(super) struct Repository {
    pub id: u64,
    pub owner: String,
    pub name: String,
    /// The bare git repository.
    pub path: PathBuf,
    /// What HEAD names, as last seen.
    pub default_branch: String,
    pub private: bool,
    /// The repository that it was forked from.
    pub parent: Option<u64>,
    pub pulls: BTreeMap<u64, Pull>,
    pub comments: BTreeMap<u64, Comment>,
    pub statuses: Vec<Status>,
    /// Labels by name, with their ids.
    pub labels: BTreeMap<String, u64>,
    /// The branches as last seen, to notice pushes.
    pub seen: BTreeMap<String, String>,
    pub next_number: u64,
    pub created_at: Timestamp,
    pub pushed_at: Timestamp,
}

impl Repository {
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

#[derive(Clone)]
pub(super) struct User {
    pub id: u64,
    pub login: String,
    /// `User`, `Organization` or `Bot`.
    pub kind: &'static str,
}

#[derive(Clone)]
pub(super) struct Pull {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub author: String,
    /// None once the head repository was deleted.
    pub head_repository: Option<u64>,
    /// Its owner, which stays known.
    pub head_owner: String,
    pub head_ref: String,
    pub head_sha: String,
    pub base_ref: String,
    pub base_sha: String,
    pub draft: bool,
    pub labels: Vec<String>,
    pub open: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub merged_at: Option<Timestamp>,
    pub merge_commit: Option<String>,
}

/// A comment at a pull request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Comment {
    /// Its id, unique over all repositories.
    pub id: u64,
    /// Where it stands.
    pub number: u64,
    /// The login of its author.
    pub author: String,
    /// Its Markdown.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// How often it was edited; GitHub shows no such number.
    pub edits: u64,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// Who says it.
    pub context: String,
    /// In a sentence.
    pub description: Option<String>,
    /// Where to read more.
    pub target_url: Option<String>,
    /// The login of its author.
    pub creator: String,
    /// When it was set.
    pub created_at: Timestamp,
}

impl World {
    pub fn new(root: String, folder: PathBuf) -> Self {
        Self {
            root,
            folder,
            repositories: BTreeMap::new(),
            former_names: HashMap::new(),
            users: BTreeMap::new(),
            access: Access::default(),
            faults: Faults::default(),
            recording: Recording::default(),
            unannounced: Vec::new(),
            last_id: 1_000_000,
        }
    }

    /// An id that nothing else has.
    pub fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The repository of this name; names are compared without regard to case, as on GitHub.
    pub fn repository_id(&self, full_name: &str) -> Option<u64> {
        let same = |repository: &&Repository| repository.full_name().eq_ignore_ascii_case(full_name);
        self.repositories.values().find(same).map(|repository| repository.id)
    }

    pub fn repository(&mut self, full_name: &str) -> Result<&mut Repository, DoubleError> {
        let none = || DoubleError::Unknown(format!("repository {full_name}"));
        let id = self.repository_id(full_name).ok_or_else(none)?;
        self.repositories.get_mut(&id).ok_or_else(none)
    }

    pub fn pull(&mut self, full_name: &str, number: u64) -> Result<&mut Pull, DoubleError> {
        let none = || DoubleError::Unknown(format!("pull request {full_name} #{number}"));
        self.repository(full_name)?.pulls.get_mut(&number).ok_or_else(none)
    }

    /// The account of this login, made at its first mention.
    pub fn user(&mut self, login: &str) -> User {
        if let Some(user) = self.users.get(&login.to_ascii_lowercase()) {
            return user.clone();
        }
        let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
        let user = User { id: self.new_id(), login: login.to_owned(), kind };
        self.users.insert(login.to_ascii_lowercase(), user.clone());
        user
    }

    /// An account that was mentioned before, or one that only looks like it.
    pub fn known_user(&self, login: &str) -> User {
        let ghost = || User { id: 10_137, login: login.to_owned(), kind: "User" };
        self.users.get(&login.to_ascii_lowercase()).cloned().unwrap_or_else(ghost)
    }
}

/// Now, in whole seconds, as GitHub writes times.
pub(super) fn now() -> Timestamp {
    Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now())
}
