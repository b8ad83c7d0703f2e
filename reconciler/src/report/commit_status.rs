//! Commit statuses: `lapdev/<catalog>` on a branch's head, `lapdev` on a commit of the config repository. Pure.

use super::state::Sight;
use lapdev_api::view::ConfigView;
use lapdev_forge::{CommitState, CommitStatus};

/// The context of the config repository's commits; no catalog has it.
const CONFIG: &str = "lapdev";

/// The status of a branch's head.
#[must_use]
pub fn of_environment(sight: &Sight<'_>) -> CommitStatus {
    let state = sight.state();
    let mut description = format!("{} {}", sight.record.identity.name, state.words);
    if !state.detail.is_empty() {
        description.push_str(": ");
        description.push_str(&state.detail);
    }
    let context = format!("lapdev/{}", sight.record.identity.catalog);
    CommitStatus { state: state.verdict, context, description, target_url: None }
}

/// The status of the config repository's newest commit; none before it was checked.
#[must_use]
pub fn of_config(view: &ConfigView) -> Option<CommitStatus> {
    let head = view.head.as_ref()?;
    let (state, description) = match (view.errors.as_slice(), &view.held) {
        ([first], _) => (CommitState::Failure, first.clone()),
        ([first, more @ ..], _) => (CommitState::Failure, format!("{} errors: {first}", more.len() + 1)),
        ([], Some(held)) => (
            CommitState::Failure,
            format!("{} deletions are held; see lapdev get environments", held.environments.len()),
        ),
        ([], None) if view.loaded.as_ref() == Some(head) => (CommitState::Success, "in force".to_owned()),
        ([], None) => return None,
    };
    Some(CommitStatus { state, context: CONFIG.to_owned(), description, target_url: None })
}
