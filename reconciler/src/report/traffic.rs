//! The traffic that a comment shows. Counts grow with every request, a comment is for people: so what is shown stays for a
//! while, though the counts move on. Pure; a restart forgets, which costs one edit.

use jiff::{SignedDuration, Timestamp};
use lapdev_api::{name::Uid, route::Traffic, status::EnvironmentStatus, words};
use std::collections::{BTreeMap, BTreeSet};

/// Counts alone change a comment this often at most.
const PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// What was last shown of each environment.
#[derive(Debug, Default)]
pub(super) struct Shown(BTreeMap<Uid, Line>);

/// One environment's traffic in words.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    errors: bool,
    since: Timestamp,
}

impl Shown {
    /// Takes in what agents last said, and forgets environments of which there is nothing any more.
    pub(super) fn update<'a>(&mut self, statuses: impl IntoIterator<Item = &'a EnvironmentStatus>, now: Timestamp) {
        let mut known = BTreeSet::new();
        for status in statuses {
            known.insert(&status.uid);
            if let Some(line) = next(self.0.get(&status.uid), &status.traffic, now) {
                self.0.insert(status.uid.clone(), line);
            }
        }
        self.0.retain(|uid, _| known.contains(uid));
    }

    /// The line of one environment, if it had any traffic.
    pub(super) fn of(&self, uid: &Uid) -> Option<&str> {
        self.0.get(uid).map(|line| line.text.as_str())
    }
}

/// What is to be shown in place of the present line; none while that stays.
fn next(present: Option<&Line>, traffic: &[Traffic], now: Timestamp) -> Option<Line> {
    let text = words::traffic(traffic)?;
    let errors = traffic.iter().any(|row| row.errors > 0);
    let due = present.is_none_or(|line| {
        let first_error = errors && !line.errors;
        line.text != text && (first_error || now.duration_since(line.since) >= PAUSE)
    });
    due.then_some(Line { text, errors, since: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(requests: u64, errors: u64) -> Vec<Traffic> {
        vec![Traffic { service: "cart".to_owned(), branch: true, requests, errors }]
    }

    #[test]
    fn counts_alone_wait_ten_minutes_and_the_first_error_does_not() {
        let minute = |minutes: i64| Timestamp::from_second(minutes * 60).expect("in range");
        let mut line: Option<Line> = None;
        // (minute, requests, errors, what is shown afterwards)
        for (at, requests, errors, shown) in [
            (0, 0, 0, None),
            (1, 1, 0, Some("1 request")),
            (2, 2, 0, Some("1 request")),
            (10, 9, 0, Some("1 request")),
            (11, 10, 0, Some("10 requests")),
            (12, 11, 1, Some("11 requests with its key, 1 × 5xx")),
            (13, 12, 2, Some("11 requests")),
            (22, 13, 3, Some("13 requests with its key, 3 × 5xx")),
            // A router that begins anew counts from nothing: what was shown stays until there is something again.
            (40, 0, 0, Some("13 requests")),
            (41, 5, 0, Some("5 requests")),
            (42, 6, 1, Some("6 requests with its key, 1 × 5xx")),
        ] {
            if let Some(next) = next(line.as_ref(), &traffic(requests, errors), minute(at)) {
                line = Some(next);
            }
            let text = line.as_ref().map(|line| line.text.as_str());
            let as_expected = match (text, shown) {
                (Some(text), Some(shown)) => text.starts_with(shown),
                (text, shown) => text.is_none() && shown.is_none(),
            };
            assert!(as_expected, "at {at}: {text:?} instead of {shown:?}");
        }
    }

    #[test]
    fn a_line_that_stays_the_same_is_not_shown_anew() {
        let minute = |minutes: i64| Timestamp::from_second(minutes * 60).expect("in range");
        let first = next(None, &traffic(3, 0), minute(0)).expect("shown");
        assert!(next(Some(&first), &traffic(3, 0), minute(60)).is_none());
        // So that the next change is shown at once.
        assert!(next(Some(&first), &traffic(4, 0), minute(61)).is_some());
    }

    #[test]
    fn an_environment_of_which_nothing_is_known_is_forgotten() {
        let uid: Uid = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        let status = EnvironmentStatus {
            uid: uid.clone(),
            generation: lapdev_api::name::Generation(1),
            applied: None,
            phase: lapdev_api::status::Phase::Ready,
            message: String::new(),
            workloads: vec![],
            notices: vec![],
            traffic: traffic(1, 0),
        };
        let mut shown = Shown::default();
        shown.update([&status], Timestamp::UNIX_EPOCH);
        assert_eq!(shown.of(&uid), Some("1 request with its key, none of them 5xx"));
        shown.update([], Timestamp::UNIX_EPOCH);
        assert_eq!(shown.of(&uid), None);
    }
}
