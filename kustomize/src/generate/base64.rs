//! Base64 as the reference writes it: broken into lines of 70 when it is longer than one.

use data_encoding::BASE64;

const LINE: usize = 70;

/// The text of the bytes; every line ends in a line break if there is more than one.
pub fn wrapped(bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    if text.len() / LINE == 0 {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn only_long_text_is_broken() {
        assert_eq!(wrapped(b"abc"), "YWJj");
        assert_eq!(wrapped(&[0; 48]).len(), 64);
        let long = wrapped(&[0; 60]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [70, 10]);
        assert!(long.ends_with('\n'));
    }
}
