//! What people do on GitHub, and which events that makes: pushes, pull requests opened, labelled, merged, closed.

use super::{
    error::DoubleError,
    git, shape,
    world::{Comment, Pull, Repository, World, now},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Something that GitHub tells webhooks about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// `push`, `pull_request`, `ping`.
    pub name: &'static str,
    /// The body.
    pub payload: Value,
}

/// A pull request to be opened.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewPull {
    /// A branch, or `owner:branch` of a fork.
    pub head: String,
    /// Onto which branch; the default branch if empty.
    pub base: String,
    /// Its title; the head's name if empty.
    pub title: String,
    /// What its author wrote.
    pub body: Option<String>,
    /// The login of its author; the head's owner if empty.
    pub author: String,
    /// Whether it is unfinished.
    pub draft: bool,
    /// Names of labels, made as needed.
    pub labels: Vec<String>,
}

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

impl World {
    /// Adds a repository, an existing one on disk or a new one.
    pub fn create_repository(
        &mut self,
        full_name: &str,
        private: bool,
        path: Option<PathBuf>,
    ) -> Result<PathBuf, DoubleError> {
        let (owner, name) = split(full_name)?;
        if self.repository_id(full_name).is_some() {
            return Err(DoubleError::Refused(format!("repository {full_name} exists already")));
        }
        let path = path.unwrap_or_else(|| self.folder.join(format!("{full_name}.git")));
        if !path.join("HEAD").exists() {
            git::create(&path)?;
        }
        let (seen, default_branch) = (git::branches(&path)?, git::default_branch(&path)?);
        self.user(owner);
        let (id, time) = (self.new_id(), now());
        let repository = Repository {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            path: path.clone(),
            default_branch,
            private,
            parent: None,
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            statuses: Vec::new(),
            labels: BTreeMap::new(),
            seen,
            next_number: 1,
            created_at: time,
            pushed_at: time,
        };
        self.repositories.insert(id, repository);
        Ok(path)
    }

    /// Copies a repository to another owner.
    pub fn fork(&mut self, full_name: &str, owner: &str) -> Result<String, DoubleError> {
        let parent = self.repository(full_name)?;
        let (id, private, from) = (parent.id, parent.private, parent.path.clone());
        let fork = format!("{owner}/{}", parent.name);
        let path = self.folder.join(format!("{fork}.git"));
        git::copy(&from, &path)?;
        self.create_repository(&fork, private, Some(path))?;
        self.repository(&fork)?.parent = Some(id);
        Ok(fork)
    }

    /// Renames a repository; its former name redirects.
    pub fn rename(&mut self, full_name: &str, name: &str) -> Result<(), DoubleError> {
        let repository = self.repository(full_name)?;
        let (id, former) = (repository.id, repository.full_name().to_ascii_lowercase());
        name.clone_into(&mut repository.name);
        self.former_names.insert(former, id);
        Ok(())
    }

    /// Deletes a repository. Pull requests that came from it stay, without a head repository.
    pub fn delete_repository(&mut self, full_name: &str) -> Result<(), DoubleError> {
        let id = self.repository(full_name)?.id;
        self.repositories.remove(&id);
        for repository in self.repositories.values_mut() {
            for pull in repository.pulls.values_mut().filter(|pull| pull.head_repository == Some(id)) {
                pull.head_repository = None;
            }
        }
        Ok(())
    }

    /// Looks at a repository's branches, and lets pull requests follow those that moved. Returns what GitHub would
    /// tell about it.
    pub fn follow(&mut self, full_name: &str) -> Result<Vec<Event>, DoubleError> {
        let repository = self.repository(full_name)?;
        let (id, path) = (repository.id, repository.path.clone());
        let present = git::branches(&path)?;
        repository.default_branch = git::default_branch(&path)?;
        let before = std::mem::replace(&mut repository.seen, present.clone());
        let mut names: Vec<_> = before.keys().chain(present.keys()).cloned().collect();
        names.sort();
        names.dedup();
        let mut events = Vec::new();
        for branch in names {
            let (old, new) = (before.get(&branch), present.get(&branch));
            if old != new {
                self.repository(full_name)?.pushed_at = now();
                events.push(self.push_event(full_name, &branch, old, new)?);
                events.extend(self.move_heads(id, &branch, new)?);
            }
        }
        Ok(events)
    }

    /// The same for a repository and every fork that it has open pull requests from, without telling anybody yet:
    /// whoever asks must see what git has, though its push was announced to nobody.
    pub fn follow_quietly(&mut self, id: u64) -> Result<(), DoubleError> {
        let Some(repository) = self.repositories.get(&id) else { return Ok(()) };
        let heads = repository.pulls.values().filter(|pull| pull.open).filter_map(|pull| pull.head_repository);
        let all: BTreeSet<u64> = heads.chain([id]).collect();
        for id in all {
            if let Some(full_name) = self.repositories.get(&id).map(Repository::full_name) {
                let events = self.follow(&full_name)?;
                self.unannounced.extend(events);
            }
        }
        Ok(())
    }

    /// Opens a pull request.
    pub fn open_pull(&mut self, full_name: &str, new: NewPull) -> Result<(u64, Vec<Event>), DoubleError> {
        let mut events = self.follow(full_name)?;
        let base = self.repository(full_name)?;
        let (base_id, base_path, base_name) = (base.id, base.path.clone(), base.name.clone());
        let (owner, head_ref) = match new.head.split_once(':') {
            Some((owner, branch)) => (owner.to_owned(), branch.to_owned()),
            None => (base.owner.clone(), new.head.clone()),
        };
        let number = base.next_number;
        let base_ref = if new.base.is_empty() { base.default_branch.clone() } else { new.base };
        let missing = |branch: &str| DoubleError::Unknown(format!("branch {branch}"));
        let base_sha = base.seen.get(&base_ref).cloned().ok_or_else(|| missing(&base_ref))?;
        let head_name = format!("{owner}/{base_name}");
        events.extend(self.follow(&head_name)?);
        let head = self.repository(&head_name)?;
        let (head_id, head_path) = (head.id, head.path.clone());
        let head_sha = head.seen.get(&head_ref).cloned().ok_or_else(|| missing(&head_ref))?;
        let twice = self.repositories.get(&base_id).is_some_and(|base| {
            let same = |pull: &Pull| pull.head_repository == Some(head_id) && pull.head_ref == head_ref;
            base.pulls.values().any(|pull| pull.open && same(pull) && pull.base_ref == base_ref)
        });
        if twice {
            return Err(DoubleError::Refused(format!("A pull request already exists for {owner}:{head_ref}.")));
        }
        git::pull_ref(&base_path, &head_path, number, &head_sha)?;
        let author = if new.author.is_empty() { owner.clone() } else { new.author };
        self.user(&author);
        let (id, time) = (self.new_id(), now());
        let title = if new.title.is_empty() { head_ref.clone() } else { new.title };
        let pull = Pull {
            id,
            number,
            title,
            body: new.body,
            author,
            head_repository: Some(head_id),
            head_owner: owner,
            head_ref,
            head_sha,
            base_ref,
            base_sha,
            draft: new.draft,
            labels: Vec::new(),
            open: true,
            created_at: time,
            updated_at: time,
            closed_at: None,
            merged_at: None,
            merge_commit: None,
        };
        let base = self.repository(full_name)?;
        base.next_number += 1;
        base.pulls.insert(number, pull);
        for label in &new.labels {
            self.attach_label(full_name, number, label)?;
        }
        events.push(self.pull_event(full_name, number, "opened", json!({}))?);
        Ok((number, events))
    }

    /// Closes, reopens, marks as draft or ready: whatever flips one thing and has one event.
    pub fn change_pull(&mut self, full_name: &str, number: u64, change: Change) -> Result<Vec<Event>, DoubleError> {
        let mut events = self.follow(full_name)?;
        if change == Change::Reopen {
            self.catch_up(full_name, number)?;
        }
        let repository = self.repository(full_name)?;
        let path = repository.path.clone();
        let pull = repository
            .pulls
            .get_mut(&number)
            .ok_or_else(|| DoubleError::Unknown(format!("pull request {full_name} #{number}")))?;
        let refused = |why: &str| Err(DoubleError::Refused(format!("{full_name} #{number} {why}")));
        match change {
            Change::Close if !pull.open => return refused("is closed already"),
            Change::Close | Change::Merge if pull.merged_at.is_some() => return refused("is merged already"),
            Change::Reopen if pull.open || pull.merged_at.is_some() => return refused("cannot be reopened"),
            Change::Merge if !pull.open => return refused("is closed"),
            Change::Close => (pull.open, pull.closed_at) = (false, Some(now())),
            Change::Reopen => (pull.open, pull.closed_at) = (true, None),
            Change::Draft => pull.draft = true,
            Change::Ready => pull.draft = false,
            Change::Merge => {
                let message = format!("Merge pull request #{number} from {}", pull.head_ref);
                pull.merge_commit = Some(git::merge(&path, &pull.base_ref, &pull.head_sha, &message)?);
                (pull.open, pull.closed_at, pull.merged_at) = (false, Some(now()), Some(now()));
            }
        }
        pull.updated_at = now();
        events.extend(self.follow(full_name)?);
        events.push(self.pull_event(full_name, number, change.action(), json!({}))?);
        Ok(events)
    }

    /// Puts a label on a pull request, or takes it away.
    pub fn label(
        &mut self,
        full_name: &str,
        number: u64,
        label: &str,
        present: bool,
    ) -> Result<Vec<Event>, DoubleError> {
        let mut events = self.follow(full_name)?;
        if present {
            self.attach_label(full_name, number, label)?;
        } else {
            self.pull(full_name, number)?.labels.retain(|name| name != label);
        }
        let id = self.repository(full_name)?.id;
        let more = self
            .repositories
            .get(&id)
            .map(|repository| json!({"label": shape::label(&shape::api(self, repository), repository, label)}));
        let action = if present { "labeled" } else { "unlabeled" };
        events.push(self.pull_event(full_name, number, action, more.unwrap_or_default())?);
        Ok(events)
    }

    /// Writes a comment as anybody.
    pub fn comment(&mut self, full_name: &str, number: u64, author: &str, body: &str) -> Result<u64, DoubleError> {
        self.pull(full_name, number)?;
        self.user(author);
        let (id, time) = (self.new_id(), now());
        let (author, body) = (author.to_owned(), body.to_owned());
        let comment = Comment { id, number, author, body, created_at: time, updated_at: time, edits: 0 };
        self.repository(full_name)?.comments.insert(id, comment);
        Ok(id)
    }

    /// A closed pull request does not follow its branch; to be reopened it needs it, where it is now.
    fn catch_up(&mut self, full_name: &str, number: u64) -> Result<(), DoubleError> {
        let pull = self.pull(full_name, number)?;
        let (head, branch) = (pull.head_repository, pull.head_ref.clone());
        let head = head.and_then(|id| self.repositories.get(&id));
        let found = head.and_then(|head| Some((head.path.clone(), head.seen.get(&branch)?.clone())));
        let gone = || DoubleError::Refused(format!("{full_name} #{number}: the branch {branch} is gone"));
        let (head_path, sha) = found.ok_or_else(gone)?;
        git::pull_ref(&self.repository(full_name)?.path.clone(), &head_path, number, &sha)?;
        self.pull(full_name, number)?.head_sha = sha;
        Ok(())
    }

    fn attach_label(&mut self, full_name: &str, number: u64, label: &str) -> Result<(), DoubleError> {
        let id = self.new_id();
        self.repository(full_name)?.labels.entry(label.to_owned()).or_insert(id);
        let pull = self.pull(full_name, number)?;
        if !pull.labels.iter().any(|name| name == label) {
            pull.labels.push(label.to_owned());
        }
        pull.updated_at = now();
        Ok(())
    }

    /// The heads of open pull requests from a branch that moved, or went.
    fn move_heads(&mut self, head_id: u64, branch: &str, new: Option<&String>) -> Result<Vec<Event>, DoubleError> {
        let Some(head_path) = self.repositories.get(&head_id).map(|head| head.path.clone()) else {
            return Ok(Vec::new());
        };
        let mut moved = Vec::new();
        for repository in self.repositories.values_mut() {
            let (full_name, path) = (repository.full_name(), repository.path.clone());
            let from_here = |pull: &&mut Pull| pull.head_repository == Some(head_id) && pull.head_ref == branch;
            for pull in repository.pulls.values_mut().filter(|pull| pull.open).filter(from_here) {
                pull.updated_at = now();
                let before = pull.head_sha.clone();
                if let Some(new) = new {
                    pull.head_sha.clone_from(new);
                    git::pull_ref(&path, &head_path, pull.number, new)?;
                } else {
                    (pull.open, pull.closed_at) = (false, Some(now()));
                }
                moved.push((full_name.clone(), pull.number, before));
            }
        }
        let event = |(full_name, number, before): (String, u64, String)| match new {
            Some(after) => {
                self.pull_event(&full_name, number, "synchronize", json!({"before": before, "after": after}))
            }
            None => self.pull_event(&full_name, number, "closed", json!({})),
        };
        moved.into_iter().map(event).collect()
    }

    fn pull_event(&self, full_name: &str, number: u64, action: &str, more: Value) -> Result<Event, DoubleError> {
        let none = || DoubleError::Unknown(format!("pull request {full_name} #{number}"));
        let id = self.repository_id(full_name).ok_or_else(none)?;
        let repository = self.repositories.get(&id).ok_or_else(none)?;
        let pull = repository.pulls.get(&number).ok_or_else(none)?;
        let mut payload = json!({
            "action": action,
            "number": number,
            "pull_request": shape::pull(self, repository, pull),
            "repository": shape::repository(self, repository),
            "sender": shape::user(self, &self.known_user(&pull.author)),
        });
        shape::merge(&mut payload, more);
        Ok(Event { name: "pull_request", payload })
    }

    fn push_event(
        &self,
        full_name: &str,
        branch: &str,
        before: Option<&String>,
        after: Option<&String>,
    ) -> Result<Event, DoubleError> {
        let none = || DoubleError::Unknown(format!("repository {full_name}"));
        let id = self.repository_id(full_name).ok_or_else(none)?;
        let repository = self.repositories.get(&id).ok_or_else(none)?;
        let html = shape::html(self, repository);
        let commits = after.map_or_else(Vec::new, |after| {
            git::pushed_commits(&repository.path, before.map(String::as_str), after, &html)
        });
        let head = after.map_or(Value::Null, |after| git::head_commit(&repository.path, after, &html));
        let text = |commit: Option<&String>| commit.map_or(NO_COMMIT, String::as_str).to_owned();
        let (before_text, after_text) = (text(before), text(after));
        let forced = before.zip(after).is_some_and(|(before, after)| git::is_forced(&repository.path, before, after));
        let mut shape = shape::repository(self, repository);
        // In this one event GitHub writes two times as numbers, and gives the owner a name.
        shape["created_at"] = repository.created_at.as_second().into();
        shape["pushed_at"] = repository.pushed_at.as_second().into();
        shape["owner"]["name"] = repository.owner.clone().into();
        shape["owner"]["email"] = Value::Null;
        let payload = json!({
            "ref": format!("refs/heads/{branch}"),
            "before": before_text, "after": after_text,
            "created": before.is_none(), "deleted": after.is_none(), "forced": forced,
            "base_ref": null,
            "compare": format!("{html}/compare/{before_text}...{after_text}"),
            "commits": commits,
            "head_commit": head,
            "repository": shape,
            "pusher": {"name": repository.owner, "email": format!("{}@example.com", repository.owner)},
            "sender": shape::user(self, &self.known_user(&repository.owner)),
        });
        Ok(Event { name: "push", payload })
    }
}

/// What can happen to a pull request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Close,
    Reopen,
    Merge,
    Draft,
    Ready,
}

impl Change {
    fn action(self) -> &'static str {
        match self {
            Self::Close | Self::Merge => "closed",
            Self::Reopen => "reopened",
            Self::Draft => "converted_to_draft",
            Self::Ready => "ready_for_review",
        }
    }
}

pub(super) fn split(full_name: &str) -> Result<(&str, &str), DoubleError> {
    let legal = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !part.contains("..")
    };
    full_name
        .split_once('/')
        .filter(|(owner, name)| legal(owner) && legal(name))
        .ok_or_else(|| DoubleError::Refused(format!("{full_name:?} is no owner/name")))
}
