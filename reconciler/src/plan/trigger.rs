//! Whether a trigger matches: globs over branch names, rules over pull requests.

use super::observed::PullRequest;
use crate::load::Globs;
use lapdev_api::kinds::{Forks, PullRequestRule};

/// The patterns of a branch trigger, compiled one by one, since a reason names the one that matched.
pub(super) struct Patterns<'a>(Vec<(&'a str, Globs)>);

impl<'a> Patterns<'a> {
    /// Compiles them. One that is no glob matches nothing; `validate` refused it long before.
    pub fn new(patterns: &'a [String]) -> Self {
        let compile = |pattern: &'a String| Some((pattern.as_str(), Globs::new(std::slice::from_ref(pattern)).ok()?));
        Self(patterns.iter().filter_map(compile).collect())
    }

    /// The first pattern that matches.
    pub fn matched(&self, text: &str) -> Option<&'a str> {
        self.0.iter().find(|(_, glob)| glob.matches(text)).map(|(pattern, _)| *pattern)
    }
}

/// Whether the rule lets this pull request have an environment, an approval aside.
pub(super) fn matches(rule: &PullRequestRule, pull_request: &PullRequest) -> bool {
    let labelled = rule.labels.iter().all(|label| pull_request.labels.contains(label));
    let draft = rule.drafts || !pull_request.draft;
    let fork = !pull_request.fork || rule.forks != Forks::Deny;
    labelled && draft && fork
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_that_matched_is_named_and_no_pattern_matches_nothing() {
        let patterns = ["release-*".to_owned(), "feature/**".to_owned()];
        let patterns = Patterns::new(&patterns);
        assert_eq!(patterns.matched("release-1"), Some("release-*"));
        assert_eq!(patterns.matched("release-1/x"), None);
        assert_eq!(patterns.matched("feature/a/b"), Some("feature/**"));
        assert_eq!(Patterns::new(&[]).matched("main"), None);
    }
}
