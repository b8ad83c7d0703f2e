//! How messages to people are worded, where more than one crate does it: an error with its causes, the name that was
//! probably meant, the traffic of an environment.

use crate::route::Traffic;
use std::{cmp::Reverse, error::Error};

/// An error and its causes, in one line.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The known name that `name` was most likely meant to be, if any is near enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Case alone is the commonest slip (`namespaceprefix`), and must not count as many edits.
    let folded = name.to_lowercase();
    let distance = |k: &str| strsim::damerau_levenshtein(&folded, &k.to_lowercase());
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    known.into_iter().map(|k| (distance(k), k)).filter(|(d, _)| *d <= allowed).min().map(|(_, k)| k)
}

/// A version of a service: `cart (branch)`.
#[must_use]
pub fn version(service: &str, branch: bool) -> String {
    format!("{service} ({})", if branch { "branch" } else { "baseline" })
}

/// All of an environment's traffic in one line, `42 requests with its key, 3 × 5xx, all at cart (branch)`; none where
/// there was none yet. A request that one service makes because of another counts at both.
#[must_use]
pub fn traffic(rows: &[Traffic]) -> Option<String> {
    let requests = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.requests));
    let line = format!("{} with its key, {}", counted(requests), failures(rows));
    (requests > 0).then_some(line)
}

/// The traffic of one version of one service: `cart (branch): 20 requests, 3 × 5xx`.
#[must_use]
pub fn traffic_of(row: &Traffic) -> String {
    let errors = if row.errors == 0 { String::new() } else { format!(", {} × 5xx", row.errors) };
    format!("{}: {}{errors}", version(&row.service, row.branch), counted(row.requests))
}

fn counted(requests: u64) -> String {
    if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") }
}

/// How many places are named; the rest are counted.
const PLACES: usize = 3;

fn failures(rows: &[Traffic]) -> String {
    let mut failing: Vec<&Traffic> = rows.iter().filter(|row| row.errors > 0).collect();
    failing.sort_by_key(|row| (Reverse(row.errors), &row.service, row.branch));
    let errors = failing.iter().fold(0_u64, |sum, row| sum.saturating_add(row.errors));
    let place = |row: &&Traffic| format!("{} at {}", row.errors, version(&row.service, row.branch));
    match failing.as_slice() {
        [] => "none of them 5xx".to_owned(),
        [one] => format!("{errors} × 5xx, all at {}", version(&one.service, one.branch)),
        several => {
            let named: Vec<_> = several.iter().take(PLACES).map(place).collect();
            let more = several.len().saturating_sub(PLACES);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{errors} × 5xx: {}{more}", named.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_one_line_that_names_where_errors_are() {
        let row =
            |service: &str, branch, requests, errors| Traffic { service: service.to_owned(), branch, requests, errors };
        for (rows, expected) in [
            (vec![], None),
            (vec![row("web", true, 0, 0)], None),
            (vec![row("web", true, 1, 0)], Some("1 request with its key, none of them 5xx")),
            (
                vec![row("cart", true, 20, 3), row("web", false, 22, 0)],
                Some("42 requests with its key, 3 × 5xx, all at cart (branch)"),
            ),
            (
                vec![row("a", true, 9, 1), row("b", false, 9, 1), row("c", true, 9, 7), row("d", true, 9, 1)],
                Some(
                    "36 requests with its key, 10 × 5xx: 7 at c (branch), 1 at a (branch), 1 at b (baseline) and 1 more",
                ),
            ),
            (
                vec![row("a", true, u64::MAX, 0), row("b", true, 9, 0)],
                Some("18446744073709551615 requests with its key, none of them 5xx"),
            ),
        ] {
            assert_eq!(traffic(&rows).as_deref(), expected);
        }
        assert_eq!(traffic_of(&row("cart", true, 20, 3)), "cart (branch): 20 requests, 3 × 5xx");
        assert_eq!(traffic_of(&row("cart", false, 1, 0)), "cart (baseline): 1 request");
    }

    #[test]
    fn a_slip_finds_its_name_and_another_word_does_not() {
        let known = || ["staging", "production", "stagnant"];
        assert_eq!(nearest("stagin", known()), Some("staging"));
        assert_eq!(nearest("STAGING", known()), Some("staging"));
        assert_eq!(nearest("review", known()), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(error_chain(&Outer(std::io::Error::other("no disk"))), "cannot start: no disk");
    }
}
