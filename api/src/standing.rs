//! How an environment stands, from what was published and what its agent last said: the one place that decides which of
//! the two counts. Whoever shows it adds the words. Pure.

use crate::{
    record::{EnvironmentRecord, Evidence, Life},
    status::EnvironmentStatus,
};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It waits to go live, for this reason.
    Queued(&'a str),
    /// The agent's word about what was last published.
    Observed(&'a EnvironmentStatus),
    /// It lives, and nothing of it was published yet.
    Unpublished,
    /// It was published, and its cluster's agent is not connected. What runs there goes on.
    Away,
    /// It was published, and its agent has not said yet that it is applied.
    RollingOut,
    /// It ended, and its cluster still holds something of it.
    Closing(&'a Evidence),
    /// It ended, and nothing is left.
    Closed(&'a Evidence),
}

impl<'a> Standing<'a> {
    /// Of one environment: its record, what its agent last said of it, and whether that agent is connected.
    #[must_use]
    pub fn of(record: &'a EnvironmentRecord, status: Option<&'a EnvironmentStatus>, connected: bool) -> Self {
        match &record.life {
            Life::Queued { reason } => Self::Queued(reason),
            Life::Closing { evidence, .. } => Self::Closing(evidence),
            Life::Closed { evidence, .. } => Self::Closed(evidence),
            Life::Live => match current(record, status) {
                Some(status) => Self::Observed(status),
                None if record.digest.is_none() => Self::Unpublished,
                None if !connected => Self::Away,
                None => Self::RollingOut,
            },
        }
    }
}

/// What the agent said, if it is about what was last published and not about something older.
#[must_use]
pub fn current<'a>(record: &EnvironmentRecord, status: Option<&'a EnvironmentStatus>) -> Option<&'a EnvironmentStatus> {
    status.filter(|status| status.generation >= record.generation)
}
