//! Regular expressions in the syntax that users know from the reference, which is RE2's: time grows with expression and
//! text and no faster, and `\w`, `\d` and `(?i)` know ASCII only. Classes of Unicode (`\p{L}`) are refused.

use regex_lite::{Error, Regex, RegexBuilder};

/// What one may take when it is compiled: twenty characters can ask for megabytes, and each byte of a text is held
/// against all of it. A thousand letters have room.
const MAX_BYTES: usize = 1 << 16;

/// An expression that may match anywhere in a text.
pub fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).size_limit(MAX_BYTES).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_re2s() {
        let holds = |pattern: &str, text: &str| compile(pattern).expect(pattern).is_match(text);
        for (pattern, text) in [
            ("^web-(blue|green)$", "web-blue"),
            ("^[[:alpha:]_-]+\\.io/\\w{2,3}?$", "example.io/v1"),
            ("(?i)^WEB$", "web"),
            ("^(?P<name>a)(?:b)\\x41\\.\\z", "abA."),
            ("(?s)^a.b$", "a\nb"),
            ("(?m)^b$", "a\nb"),
            ("^.$", "é"),
        ] {
            assert!(holds(pattern, text), "{pattern}");
        }
        for (pattern, text) in [("a.b", "a\nb"), ("^\\w$", "é"), ("^\\d$", "٣"), ("^b$", "a\nb")] {
            assert!(!holds(pattern, text), "{pattern}");
        }
        for pattern in ["(", "a{2,1}", "\\p{L}", "(?=a)", "(a)\\1", "[b-a]"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_few_characters_cannot_ask_for_much() {
        assert!(compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?").is_ok());
        assert!(compile("(\\w{50}){40}").is_err());
    }
}
