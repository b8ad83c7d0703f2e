//! The guard against mass deletion: endings that one edit or one lost answer could bring about for many at once.
//!
//! It counts what ends because of the config (a file, trigger, catalog or place that changed, a ttl that was cut) and
//! because refs are gone. It does not count pull requests that people closed, or a ttl that ran out as it was
//! announced: each of those is an event of its own, confirmed one by one by the forge or by the clock, and a Friday
//! afternoon on which ten pull requests are merged must not leave ten environments running.

use super::Limits;
use lapdev_api::{
    name::{Commit, EnvironmentName},
    view::HeldView,
};

/// What the guard decided about the bulk endings of one pass.
pub(super) fn decide(ending: &[EnvironmentName], living: usize, limits: &Limits, config: &Commit) -> Option<HeldView> {
    let few = ending.len() < limits.deletion_minimum.max(1);
    let within_share = ending.len() * 100 <= living * usize::from(limits.deletion_share);
    if few || within_share || limits.release_deletions_at.as_ref() == Some(config) {
        return None;
    }
    let mut environments = ending.to_vec();
    environments.sort();
    let message = format!(
        "config commit {config} with the branches seen now would delete {} of {living} living environments, more than \
         {} %. None of them is deleted. Restore what is missing; or, if they are meant to go, set `[limits] \
         release_deletions_at = \"{config}\"` in lapdev.toml and restart the control plane",
        ending.len(),
        limits.deletion_share,
    );
    Some(HeldView { environments, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(ending: usize, living: usize, release: Option<&Commit>) -> bool {
        let names: Vec<EnvironmentName> = (0..ending).map(|i| format!("e{i}").parse().expect("a legal name")).collect();
        let limits = Limits { release_deletions_at: release.cloned(), ..Limits::default() };
        decide(&names, living, &limits, &commit('a')).is_some()
    }

    fn commit(digit: char) -> Commit {
        String::from_iter([digit; 40]).parse().expect("a legal commit")
    }

    #[test]
    fn fewer_than_three_or_at_most_the_share_pass() {
        for (ending, living, expected) in [
            (0, 0, false),
            (2, 2, false),
            (3, 3, true),
            (3, 10, false),
            (4, 10, true),
            (60, 200, false),
            (61, 200, true),
        ] {
            assert_eq!(held(ending, living, None), expected, "{ending} of {living}");
        }
    }

    #[test]
    fn a_release_names_the_very_config_commit() {
        assert!(!held(5, 5, Some(&commit('a'))));
        assert!(held(5, 5, Some(&commit('b'))));
    }
}
