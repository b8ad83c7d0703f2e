//! One comment of ours at each pull request. It is written only when it is certain that there is none: nobody can
//! undo the mail that a second one sends.

use super::{
    client::{Ask, Client},
    listing, text, wire,
};
use crate::ForgeError;
use http::Method;
use lapdev_api::name::RepositoryName;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When a comment was sent without an answer; until it has settled, not finding it proves nothing.
type Doubt = Option<Instant>;
type Place = (RepositoryName, u64);

/// Lets one writer at a time at each pull request, and carries doubts from one to the next.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Doubt>>>>);

impl Turns {
    fn at(&self, place: &Place) -> Arc<tokio::sync::Mutex<Doubt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(place.clone()).or_default().clone()
    }

    /// Forgets places where nobody waits and nothing is in doubt.
    fn tidy(&self) {
        let idle =
            |turn: &mut Arc<tokio::sync::Mutex<Doubt>>| Arc::get_mut(turn).is_some_and(|turn| turn.get_mut().is_none());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, turn| !idle(turn));
    }
}

/// What should stand where.
pub(super) struct Wanted<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) number: u64,
    pub(super) known: Option<u64>,
    pub(super) marker: &'a str,
    pub(super) body: &'a str,
    pub(super) settle: Duration,
}

/// Makes it so, and returns the comment's id.
pub(super) async fn upsert(client: &Client, turns: &Turns, wanted: &Wanted<'_>) -> Result<u64, ForgeError> {
    let turn = turns.at(&(wanted.repository.clone(), wanted.number));
    let outcome = {
        let mut doubt = turn.lock().await;
        place(client, wanted, &mut doubt).await
    };
    drop(turn);
    turns.tidy();
    outcome
}

async fn place(client: &Client, wanted: &Wanted<'_>, doubt: &mut Doubt) -> Result<u64, ForgeError> {
    let what = format!("commenting on pull request {} #{}", wanted.repository, wanted.number);
    let body = text::comment(wanted.body, wanted.marker);
    let login = client.login(wanted.repository).await?;
    if let Some(id) = wanted.known
        && let Some(comment) = by_id(client, wanted, &what, id).await?
        && comment.is_by(&login)
        && comment.is_at(wanted.number)
        && edit(client, wanted, &what, &comment, &body).await?
    {
        return Ok(id);
    }
    // A comment that goes away between the search and the edit is searched for once more. One that is found each time
    // but cannot be edited is there all the same, so a second one must not be written.
    for _ in 0..2 {
        let Some(comment) = by_marker(client, wanted, &what, &login).await? else {
            return create(client, wanted, &what, &body, doubt).await;
        };
        *doubt = None;
        if edit(client, wanted, &what, &comment, &body).await? {
            return Ok(comment.id);
        }
    }
    let message = "our comment can be read but not edited; the credentials may lack write permission".to_owned();
    Err(ForgeError::Unauthorized { what, message })
}

async fn by_id(client: &Client, wanted: &Wanted<'_>, what: &str, id: u64) -> Result<Option<wire::Comment>, ForgeError> {
    let path = client.path(&format!("/repos/{}/issues/comments/{id}", wanted.repository));
    found(client.ask(wanted.repository, &Ask::get(what, path)).await)?.map(|answer| answer.read(what)).transpose()
}

/// The oldest comment of our own that carries the marker.
async fn by_marker(
    client: &Client,
    wanted: &Wanted<'_>,
    what: &str,
    login: &str,
) -> Result<Option<wire::Comment>, ForgeError> {
    let tail = format!("/repos/{}/issues/{}/comments?per_page={}", wanted.repository, wanted.number, listing::PAGE);
    let of = listing::Of { what, repository: wanted.repository, place: client.path(&tail), read: comments };
    let all = listing::read(client, &of, &mut Vec::new()).await?;
    let mut ours: Vec<_> =
        all.into_inner().into_iter().filter(|c| c.is_by(login) && c.body().contains(wanted.marker)).collect();
    ours.sort_by_key(|comment| comment.id);
    if ours.len() > 1 {
        tracing::warn!(repository = %wanted.repository, number = wanted.number, count = ours.len(),
            "several comments of ours: the oldest one is kept up to date");
    }
    Ok(ours.into_iter().next())
}

fn comments(body: &[u8]) -> Result<Vec<(u64, wire::Comment)>, String> {
    let comments: Vec<wire::Comment> = wire::parse(body)?;
    Ok(comments.into_iter().map(|comment| (comment.id, comment)).collect())
}

/// Edits a comment if its text differs; false when it is gone.
async fn edit(
    client: &Client,
    wanted: &Wanted<'_>,
    what: &str,
    comment: &wire::Comment,
    body: &str,
) -> Result<bool, ForgeError> {
    if text::same(comment.body(), body) {
        return Ok(true);
    }
    let path = client.path(&format!("/repos/{}/issues/comments/{}", wanted.repository, comment.id));
    let ask = Ask::send(what, Method::PATCH, path, json!({"body": body}));
    Ok(found(client.ask(wanted.repository, &ask).await)?.is_some())
}

async fn create(
    client: &Client,
    wanted: &Wanted<'_>,
    what: &str,
    body: &str,
    doubt: &mut Doubt,
) -> Result<u64, ForgeError> {
    if doubt.is_some_and(|since| since.elapsed() < wanted.settle) {
        let message = "an earlier attempt had no answer and may still take effect".to_owned();
        return Err(ForgeError::Unavailable { what: what.to_owned(), message, source: None });
    }
    let path = client.path(&format!("/repos/{}/issues/{}/comments", wanted.repository, wanted.number));
    // In doubt from before the request on, so that a caller who stops waiting leaves the doubt behind.
    *doubt = Some(Instant::now());
    let ask = Ask::send(what, Method::POST, path, json!({"body": body}));
    let made = client.ask(wanted.repository, &ask).await.and_then(|answer| answer.read::<wire::Comment>(what));
    match made {
        Ok(comment) => {
            *doubt = None;
            Ok(comment.id)
        }
        Err(error) => {
            if refused(&error) {
                *doubt = None;
            } else {
                *doubt = Some(Instant::now());
            }
            Err(error)
        }
    }
}

/// Whether an error proves that nothing was written. A success that could not be read does not.
fn refused(error: &ForgeError) -> bool {
    matches!(error, ForgeError::NotFound { .. } | ForgeError::Unauthorized { .. } | ForgeError::RateLimited { .. })
}

fn found<T>(answer: Result<T, ForgeError>) -> Result<Option<T>, ForgeError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ForgeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
