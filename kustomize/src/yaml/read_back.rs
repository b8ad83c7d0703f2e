//! What the reference writes and then cannot read: it passes objects on as text, and some text that
//! it makes means something else to it. It ends with an error there, and so does this renderer.

use super::scalar::{self, Dialect};
use super::style::is_printable;
use super::{NodeKind, timestamp};

/// Checks a key that a kustomization adds to a mapping of strings: the reference writes it without quotes.
pub fn check_key(key: &str) -> Result<(), String> {
    let is_text = matches!(scalar::resolve(key, Dialect::Object), Ok(NodeKind::String(_)));
    match is_text && timestamp::parse(key).is_none() {
        true => Ok(()),
        false => {
            Err(format!("the key `{key}` reads as something else than text; choose a key that begins with a letter"))
        }
    }
}

/// Checks a generated text: the reference writes several lines as a block, which cannot begin with a tab.
pub fn check_text(text: &str) -> Result<(), String> {
    let is_block = || {
        text.contains('\n')
            && !text.contains(" \n")
            && !text.ends_with(' ')
            && text.chars().all(|c| c == '\t' || is_printable(c))
    };
    match text.starts_with('\t') && is_block() {
        true => {
            Err("text of several lines cannot begin with a tab; begin it with another line or with spaces".to_owned())
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_read_as_numbers_words_or_dates_are_refused() {
        for key in ["2", "1.5", "0x1f", "true", "null", "~", "2024-01-01", ".inf", ""] {
            assert!(check_key(key).is_err(), "{key}");
        }
        for key in ["yes", "on", "a", "2x", "app.kubernetes.io/name", "1.2.3"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn only_blocks_that_begin_with_a_tab_are_refused() {
        for text in ["\tx\n", "\t\n", "\tx\ny"] {
            assert!(check_text(text).is_err(), "{text:?}");
        }
        for text in ["\tx", "a\n\tx\n", "\n\tx\n", " \tx\ny\n", "\tx \ny\n", "\t\r\nx\n", "x\t\ny"] {
            assert_eq!(check_text(text), Ok(()), "{text:?}");
        }
    }
}
