//! How messages to people are worded, where more than one crate does it: an error with its causes, the name that was
//! probably meant.

use std::error::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

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
