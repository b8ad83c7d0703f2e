//! What a delivery says, in types of our own that take only what is used, so that no new field or shape of the rest of
//! a payload fails a delivery.

use lapdev_api::name::{NameError, RepositoryId, RepositoryName};
use serde::{Deserialize, de::IgnoredAny};

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facts {
    /// The webhook was set up. One of an organisation has no repository.
    Ping {
        /// Where.
        repository: Option<Repository>,
    },
    /// A ref was pushed, made or deleted.
    Push {
        /// Where.
        repository: Repository,
    },
    /// Something happened to a pull request.
    PullRequest {
        /// What, such as `synchronize`.
        action: String,
        /// Where.
        repository: Repository,
    },
}

/// The repository that a delivery is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The forge's own, rename-proof id.
    pub id: RepositoryId,
    /// As people write it.
    pub name: RepositoryName,
}

/// Why a body says nothing.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// It is cut off, no JSON, or without the fields that such an event has.
    #[error("the body is not the JSON of a {event} event: check that the webhook's content type is application/json")]
    NotJson {
        /// The event's name.
        event: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Its repository has no legal name.
    #[error("the {event} event names no repository that lapdev can use")]
    Repository {
        /// The event's name.
        event: String,
        /// Which rule it breaks.
        source: NameError,
    },
}

#[derive(Deserialize)]
struct RawRepository {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct RawPing {
    repository: Option<RawRepository>,
}

#[derive(Deserialize)]
struct RawPush {
    repository: RawRepository,
}

#[derive(Deserialize)]
struct RawPullRequest {
    action: String,
    repository: RawRepository,
}

/// What a GitHub delivery says; `None` for an event that lapdev does not use, whose body must be JSON all the same.
///
/// # Errors
///
/// When the body is not what GitHub sends with that event.
pub fn facts(event: &str, body: &[u8]) -> Result<Option<Facts>, FactsError> {
    let not_json = |source| FactsError::NotJson { event: event.to_owned(), source };
    let repository =
        |raw: RawRepository| raw.parse().map_err(|source| FactsError::Repository { event: event.to_owned(), source });
    Ok(Some(match event {
        "ping" => {
            let raw: RawPing = serde_json::from_slice(body).map_err(not_json)?;
            Facts::Ping { repository: raw.repository.map(repository).transpose()? }
        }
        "push" => {
            let raw: RawPush = serde_json::from_slice(body).map_err(not_json)?;
            Facts::Push { repository: repository(raw.repository)? }
        }
        "pull_request" => {
            let raw: RawPullRequest = serde_json::from_slice(body).map_err(not_json)?;
            Facts::PullRequest { action: raw.action, repository: repository(raw.repository)? }
        }
        _ => {
            let _: IgnoredAny = serde_json::from_slice(body).map_err(not_json)?;
            return Ok(None);
        }
    }))
}

impl RawRepository {
    fn parse(self) -> Result<Repository, NameError> {
        Ok(Repository { id: self.id.to_string().parse()?, name: self.full_name.parse()? })
    }
}

impl Facts {
    /// The repository that it is about.
    #[must_use]
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Ping { repository } => repository.as_ref(),
            Self::Push { repository } | Self::PullRequest { repository, .. } => Some(repository),
        }
    }

    /// What happened to the event's subject, where the event says it.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        match self {
            Self::PullRequest { action, .. } => Some(action),
            Self::Ping { .. } | Self::Push { .. } => None,
        }
    }

    /// Whether it is a reason to look.
    #[must_use]
    pub fn matters(&self) -> bool {
        !matches!(self, Self::Ping { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PULL_REQUEST: &str = r#"{
        "action": "synchronize", "number": 7, "before": "…", "after": "…",
        "pull_request": {"id": 1, "title": "Grüße aus 東京 🎉", "draft": false, "head": {"ref": "feature/x"}},
        "repository": {"id": 1296269, "node_id": "R_x", "name": "shop", "full_name": "acme/shop", "private": true,
                       "topics": [], "license": null, "a field of the future": {"full_name": 3}},
        "sender": {"login": "alice", "id": 1}}"#;

    fn shop() -> Repository {
        Repository { id: "1296269".parse().expect("legal"), name: "acme/shop".parse().expect("legal") }
    }

    #[test]
    fn a_pull_request_says_what_happened_and_where() {
        let expected = Facts::PullRequest { action: "synchronize".to_owned(), repository: shop() };
        assert_eq!(facts("pull_request", PULL_REQUEST.as_bytes()).expect("JSON"), Some(expected));
    }

    #[test]
    fn a_push_says_where_even_when_it_deletes() {
        let body = r#"{"ref": "refs/heads/x", "deleted": true, "head_commit": null, "commits": [],
                       "repository": {"id": 1296269, "full_name": "acme/shop", "owner": {"name": "acme"}}}"#;
        assert_eq!(facts("push", body.as_bytes()).expect("JSON"), Some(Facts::Push { repository: shop() }));
    }

    #[test]
    fn a_ping_has_a_repository_unless_it_is_an_organisations() {
        let organisation = r#"{"zen": "Keep it simple.", "hook_id": 1, "organization": {"login": "acme"}}"#;
        let ping = facts("ping", organisation.as_bytes()).expect("JSON").expect("used");
        assert_eq!((ping.repository(), ping.matters()), (None, false));
        let repository = r#"{"zen": "…", "repository": {"id": 1296269, "full_name": "acme/shop"}}"#;
        let ping = facts("ping", repository.as_bytes()).expect("JSON").expect("used");
        assert_eq!(ping.repository(), Some(&shop()));
    }

    #[test]
    fn other_events_say_nothing_but_must_be_json() {
        assert_eq!(facts("workflow_run", br#"{"action": "completed"}"#).expect("JSON"), None);
        assert!(facts("workflow_run", br#"{"action": "compl"#).is_err());
    }

    #[test]
    fn what_cannot_be_an_event_is_refused_with_its_reason() {
        let text = |event, body: &str| facts(event, body.as_bytes()).expect_err(body).to_string();
        let cut = &PULL_REQUEST[..PULL_REQUEST.len() - 2];
        for body in ["", "payload=%7B%7D", "null", "[]", "\u{feff}{}", "{}", cut] {
            assert!(text("pull_request", body).contains("application/json"), "{body}");
        }
        let nowhere = r#"{"repository": {"id": 1, "full_name": "../../etc"}}"#;
        assert!(text("push", nowhere).contains("names no repository"));
        let deep = format!("{}{}", r#"{"repository":"#, "[".repeat(100_000));
        assert!(text("push", &deep).contains("application/json"));
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(event in "push|pull_request|ping|[a-z_]{0,12}", body in any::<Vec<u8>>()) {
            // A refusal is as good an answer as any: what counts is that there is one.
            let _ = facts(&event, &body).is_ok();
        }

        #[test]
        fn a_true_payload_that_was_cut_is_never_taken_for_whole(end in 0..PULL_REQUEST.len()) {
            prop_assert!(facts("pull_request", &PULL_REQUEST.as_bytes()[..end]).is_err());
            prop_assert!(facts("workflow_run", &PULL_REQUEST.as_bytes()[..end]).is_err());
        }
    }
}
