//! Commands to the double: by Rust methods, and for the demo's shell script by `POST /_double/<command>` with the
//! command's fields as a JSON object. Both end here.

use super::{
    Shared,
    action::{Change, Event, NewPull},
    auth::{App, Token},
    error::DoubleError,
    fault::FaultRule,
    git,
    hook::{Webhook, WebhookPolicy},
    reply::Reply,
    world::World,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

/// What the double can be told. The names of variants, in `snake_case`, are those of the control endpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[allow(missing_docs)] // Each variant has its words; the fields are the words of GitHub's own interface.
pub enum Command {
    /// Adds a repository: the bare one at `path`, or a new one.
    CreateRepository {
        repository: String,
        #[serde(default = "yes")]
        private: bool,
        path: Option<PathBuf>,
    },
    /// Copies it to another owner.
    Fork { repository: String, owner: String },
    /// Its former name redirects.
    RenameRepository { repository: String, name: String },
    /// It is gone for good.
    DeleteRepository { repository: String },
    /// Commits files (null: deleted) to a branch, and announces the push.
    Commit {
        repository: String,
        branch: String,
        files: BTreeMap<String, Option<String>>,
        #[serde(default)]
        message: String,
    },
    /// Announces what was pushed past the double, by the file's path.
    Pushed { repository: String },
    /// Gives `number`.
    OpenPull {
        repository: String,
        #[serde(flatten)]
        pull: NewPull,
    },
    /// Without a merge.
    ClosePull { repository: String, number: u64 },
    /// After it was closed.
    ReopenPull { repository: String, number: u64 },
    /// With a merge commit on its base.
    MergePull { repository: String, number: u64 },
    /// Marks it as unfinished.
    DraftPull { repository: String, number: u64 },
    /// Marks it as ready for review.
    ReadyPull { repository: String, number: u64 },
    /// Puts a label on it.
    LabelPull { repository: String, number: u64, label: String },
    /// Takes a label away.
    UnlabelPull { repository: String, number: u64, label: String },
    /// Writes a comment as anybody; gives `id`.
    Comment { repository: String, number: u64, author: String, body: String },
    /// Changes a comment as anybody could who may.
    EditComment { repository: String, comment: u64, body: String },
    /// Deletes a comment.
    DeleteComment { repository: String, comment: u64 },
    /// Gives the comments of a pull request.
    Comments { repository: String, number: u64 },
    /// Gives all statuses of a commit, the newest last.
    Statuses { repository: String, sha: String },
    /// Makes a token for this login, the given one or a new one; gives `token`.
    CreateToken {
        login: String,
        token: Option<String>,
        #[serde(default)]
        read_only: bool,
        owners: Option<HashSet<String>>,
    },
    /// Makes a token invalid.
    RevokeToken { token: String },
    /// Makes an App that is installed at these owners; gives `id`.
    CreateApp { slug: String, public_key_pem: String, owners: Vec<String> },
    /// Removes the App's installation at an owner and makes a new one.
    ReinstallApp { app: u64, owner: String },
    /// Sends events there from now on, beginning with a `ping`.
    Webhook(Webhook),
    /// What happens to deliveries from now on.
    WebhookPolicy(WebhookPolicy),
    /// Lets held deliveries go.
    ReleaseWebhooks {
        #[serde(default)]
        reversed: bool,
    },
    /// Sends a delivery again under its old id.
    Redeliver { delivery: String },
    /// Gives all deliveries and how they ended.
    Deliveries {},
    /// Adds a fault.
    Fault(FaultRule),
    /// Ends all faults.
    ClearFaults {},
    /// Lets requests go on that a fault holds.
    Release {},
    /// Gives every exchange with the API.
    Exchanges {},
}

fn yes() -> bool {
    true
}

/// Answers a control request.
pub(super) async fn answer(shared: &Arc<Shared>, command: &str, body: &[u8]) -> Reply {
    let refused = |message: String| Reply::error(StatusCode::BAD_REQUEST, &message);
    let fields: Result<Map<String, Value>, _> =
        if body.is_empty() { Ok(Map::new()) } else { serde_json::from_slice(body) };
    let mut fields = match fields {
        Ok(fields) => fields,
        Err(error) => return refused(format!("expected a JSON object: {error}")),
    };
    fields.insert("command".to_owned(), command.into());
    let command: Command = match serde_json::from_value(Value::Object(fields)) {
        Ok(command) => command,
        Err(error) => return refused(error.to_string()),
    };
    let shared = shared.clone();
    match tokio::task::spawn_blocking(move || shared.run(command)).await {
        Ok(Ok(value)) => Reply::ok(&value),
        Ok(Err(DoubleError::Unknown(what))) => {
            Reply::error(StatusCode::NOT_FOUND, &format!("the double has no {what}"))
        }
        Ok(Err(error)) => Reply::error(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        Err(_) => Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the double has a bug"),
    }
}

impl Shared {
    /// Does it, and announces what GitHub would announce.
    pub(super) fn run(&self, command: Command) -> Result<Value, DoubleError> {
        match command {
            Command::Webhook(webhook) => {
                self.hooks.aim(webhook)?;
                let payload = json!({"zen": "Keep it logically awesome.", "hook_id": 1, "hook": hook_shape()});
                self.hooks.announce(vec![Event { name: "ping", payload }])?;
                Ok(json!({}))
            }
            Command::WebhookPolicy(policy) => {
                self.hooks.set_policy(policy);
                Ok(json!({}))
            }
            Command::ReleaseWebhooks { reversed } => Ok(json!({"released": self.hooks.release(reversed)?})),
            Command::Redeliver { delivery } => self.hooks.redeliver(&delivery).map(|()| json!({})),
            Command::Deliveries {} => Ok(json!(self.hooks.deliveries())),
            Command::Release {} => {
                self.release();
                Ok(json!({}))
            }
            Command::Exchanges {} => Ok(json!(self.world().recording.all())),
            other => {
                let (value, events) = {
                    let mut world = self.world();
                    let (value, events) = world.obey(other)?;
                    let mut all = std::mem::take(&mut world.unannounced);
                    all.extend(events);
                    (value, all)
                };
                self.hooks.announce(events)?;
                Ok(value)
            }
        }
    }
}

impl World {
    fn obey(&mut self, command: Command) -> Result<(Value, Vec<Event>), DoubleError> {
        let quiet = |value: Value| Ok((value, Vec::new()));
        match command {
            Command::CreateRepository { repository, private, path } => {
                let path = self.create_repository(&repository, private, path)?;
                quiet(json!({"path": path, "clone_url": format!("{}/{repository}.git", self.root)}))
            }
            Command::Fork { repository, owner } => quiet(json!({"repository": self.fork(&repository, &owner)?})),
            Command::RenameRepository { repository, name } => quiet(json!(self.rename(&repository, &name)?)),
            Command::DeleteRepository { repository } => quiet(json!(self.delete_repository(&repository)?)),
            Command::Commit { repository, branch, files, message } => {
                let message = if message.is_empty() { format!("Change {branch}") } else { message };
                let sha = git::commit(&self.repository(&repository)?.path.clone(), &branch, &files, &message)?;
                Ok((json!({"sha": sha}), self.follow(&repository)?))
            }
            Command::Pushed { repository } => Ok((json!({}), self.follow(&repository)?)),
            Command::Comment { repository, number, author, body } => {
                quiet(json!({"id": self.comment(&repository, number, &author, &body)?}))
            }
            Command::EditComment { repository, comment, body } => {
                let none = || DoubleError::Unknown(format!("comment {comment}"));
                let found = self.repository(&repository)?.comments.get_mut(&comment).ok_or_else(none)?;
                found.body = body;
                quiet(json!({}))
            }
            Command::DeleteComment { repository, comment } => {
                let removed = self.repository(&repository)?.comments.remove(&comment);
                removed.ok_or_else(|| DoubleError::Unknown(format!("comment {comment}")))?;
                quiet(json!({}))
            }
            Command::Comments { repository, number } => {
                let found = self.repository(&repository)?;
                quiet(json!(found.comments.values().filter(|c| c.number == number).collect::<Vec<_>>()))
            }
            Command::Statuses { repository, sha } => {
                let found = self.repository(&repository)?;
                quiet(json!(found.statuses.iter().filter(|status| status.sha == sha).collect::<Vec<_>>()))
            }
            Command::Fault(rule) => {
                self.faults.add(rule);
                quiet(json!({}))
            }
            Command::ClearFaults {} => {
                self.faults.clear();
                quiet(json!({}))
            }
            other => self.obey_about_pulls(other),
        }
    }

    fn obey_about_pulls(&mut self, command: Command) -> Result<(Value, Vec<Event>), DoubleError> {
        let mut change =
            |repository: &str, number, change| Ok((json!({}), self.change_pull(repository, number, change)?));
        match command {
            Command::ClosePull { repository, number } => change(&repository, number, Change::Close),
            Command::ReopenPull { repository, number } => change(&repository, number, Change::Reopen),
            Command::MergePull { repository, number } => change(&repository, number, Change::Merge),
            Command::DraftPull { repository, number } => change(&repository, number, Change::Draft),
            Command::ReadyPull { repository, number } => change(&repository, number, Change::Ready),
            Command::OpenPull { repository, pull } => {
                let (number, events) = self.open_pull(&repository, pull)?;
                Ok((json!({"number": number}), events))
            }
            Command::LabelPull { repository, number, label } => {
                Ok((json!({}), self.label(&repository, number, &label, true)?))
            }
            Command::UnlabelPull { repository, number, label } => {
                Ok((json!({}), self.label(&repository, number, &label, false)?))
            }
            other => Ok((self.obey_about_access(other)?, Vec::new())),
        }
    }

    fn obey_about_access(&mut self, command: Command) -> Result<Value, DoubleError> {
        match command {
            Command::CreateToken { login, token, read_only, owners } => {
                let secret = token.unwrap_or_else(|| format!("github_pat_{}", super::random_hex(20)));
                self.user(&login);
                let owners = owners.map(|owners| owners.iter().map(|owner| owner.to_ascii_lowercase()).collect());
                let token = Token { login, write: !read_only, owners, expires_at: None, installation: false };
                self.access.tokens.insert(secret.clone(), token);
                Ok(json!({"token": secret}))
            }
            Command::RevokeToken { token } => {
                let removed = self.access.tokens.remove(&token);
                removed.map(|_| json!({})).ok_or_else(|| DoubleError::Unknown("such token".to_owned()))
            }
            Command::CreateApp { slug, public_key_pem, owners } => {
                let id = self.new_id();
                let installations: HashMap<_, _> =
                    owners.iter().map(|owner| (owner.to_ascii_lowercase(), self.new_id())).collect();
                self.access.apps.insert(id, App { id, slug, public_key_pem, installations });
                Ok(json!({"id": id}))
            }
            Command::ReinstallApp { app, owner } => {
                let id = self.new_id();
                let found = self.access.apps.get_mut(&app).ok_or_else(|| DoubleError::Unknown(format!("app {app}")))?;
                found.installations.insert(owner.to_ascii_lowercase(), id);
                self.access.tokens.retain(|_, token| !token.installation);
                Ok(json!({"installation": id}))
            }
            other => Err(DoubleError::Refused(format!("not about this state: {other:?}"))),
        }
    }
}

fn hook_shape() -> Value {
    json!({
        "type": "Organization", "id": 1, "name": "web", "active": true, "events": ["push", "pull_request"],
        "config": {"content_type": "json", "insecure_ssl": "0", "url": "http://double.invalid/hook"},
        "updated_at": "2020-01-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z",
        "url": "http://double.invalid/hooks/1", "ping_url": "http://double.invalid/hooks/1/pings",
        "deliveries_url": "http://double.invalid/hooks/1/deliveries",
    })
}
