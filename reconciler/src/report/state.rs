//! How an environment is, in words, from what was published and what its agent last said.

use lapdev_api::{
    record::{EnvironmentRecord, Evidence, Life, Problem},
    standing::{self, Standing},
    status::{EnvironmentStatus, Phase},
};
use lapdev_forge::CommitState;

/// One environment with everything that is said about it.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// What was published.
    pub record: &'a EnvironmentRecord,
    /// What its agent last said, if anything.
    pub status: Option<&'a EnvironmentStatus>,
    /// Whether its cluster's agent is connected.
    pub connected: bool,
    /// Its traffic in words, as the comment shows it: not necessarily the newest counts.
    pub traffic: Option<&'a str>,
}

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// After "the environment …".
    pub words: String,
    /// Why, or what to do; may be empty. Not escaped.
    pub detail: String,
    pub verdict: CommitState,
}

fn state(words: &str, detail: impl Into<String>, verdict: CommitState) -> State {
    State { words: words.to_owned(), detail: detail.into(), verdict }
}

impl Sight<'_> {
    pub(super) fn state(&self) -> State {
        let (pending, failed) = (CommitState::Pending, CommitState::Failure);
        if let Some(problem) = self.not_rendered() {
            let words = match self.record.digest {
                Some(_) => "could not be updated; what ran before runs on",
                None => "could not be rendered",
            };
            return state(words, &problem.message, failed);
        }
        match Standing::of(self.record, self.status, self.connected) {
            Standing::Queued(reason) => state("waits", reason, pending),
            Standing::Observed(status) => observed(status),
            Standing::Unpublished => state("is not published yet", "", pending),
            Standing::Away => {
                let why = format!("the agent of cluster {} is not connected", self.record.cluster);
                state("waits for its cluster", why, pending)
            }
            Standing::RollingOut => state("is being rolled out", "", pending),
            Standing::Closing(evidence) => state("is being removed", evidence.to_string(), pending),
            Standing::Closed(evidence) => state("has ended", format!("{evidence}.{}", way_back(evidence)), pending),
        }
    }

    fn not_rendered(&self) -> Option<&Problem> {
        let live = self.record.life == Life::Live;
        self.record.problems.iter().find(|problem| live && problem.reason == "RenderFailed")
    }

    /// What the agent said about what was last published, not about something older.
    pub(super) fn current(&self) -> Option<&EnvironmentStatus> {
        standing::current(self.record, self.status)
    }
}

fn observed(status: &EnvironmentStatus) -> State {
    let (words, verdict) = match status.phase {
        Phase::Queued => ("waits", CommitState::Pending),
        Phase::Pending => ("is being rolled out", CommitState::Pending),
        Phase::Progressing => ("is starting", CommitState::Pending),
        Phase::Ready => ("is ready", CommitState::Success),
        Phase::Failed => ("cannot become ready", CommitState::Failure),
        Phase::Occupied => ("finds something of somebody else's in its place", CommitState::Failure),
        Phase::Terminating => ("is being removed", CommitState::Pending),
    };
    state(words, &status.message, verdict)
}

fn way_back(evidence: &Evidence) -> &'static str {
    match evidence {
        Evidence::PullRequestClosed { .. } => " Reopening the pull request brings it back",
        Evidence::TtlEnded { .. } => " The next push brings it back",
        Evidence::RefGone { .. }
        | Evidence::TriggerGone { .. }
        | Evidence::FileGone { .. }
        | Evidence::Moved { .. }
        | Evidence::Superseded { .. }
        | Evidence::Told { .. } => "",
    }
}
