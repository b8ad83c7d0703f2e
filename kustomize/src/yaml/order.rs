//! The order of keys in output: go-yaml's "natural" one, digits by value and letters after the rest.

use std::cmp::Ordering;

/// Compares two keys as go-yaml sorts them.
pub fn natural(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        let letter = |byte: u8| byte.is_ascii_alphabetic();
        let at = a.bytes().zip(b.bytes()).position(|(x, y)| x != y);
        // Nearly every pair of keys of a Kubernetes object first differs in two letters.
        if let Some(at) = at
            && letter(a.as_bytes()[at])
            && letter(b.as_bytes()[at])
        {
            return a.as_bytes()[at].cmp(&b.as_bytes()[at]);
        }
    }
    by_characters(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
}

fn by_characters(a: &[char], b: &[char]) -> Ordering {
    let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => a[at].cmp(&b[at]),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => by_numbers(a, b, at),
    }
}

fn by_numbers(a: &[char], b: &[char], at: usize) -> Ordering {
    // A zero inside of a number counts as a digit of it, not as a leading zero.
    let inside =
        (a[at] == '0' || b[at] == '0') && a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let start = i64::from(inside);
    let (a_value, a_end) = run(a, at, start);
    let (b_value, b_end) = run(b, at, start);
    a_value.cmp(&b_value).then(a_end.cmp(&b_end)).then(a[at].cmp(&b[at]))
}

fn run(text: &[char], at: usize, start: i64) -> (i64, usize) {
    let digits = text[at..].iter().map_while(|c| c.to_digit(10));
    let mut length = 0;
    let value = digits.fold(start, |value, digit| {
        length += 1;
        value.wrapping_mul(10).wrapping_add(i64::from(digit))
    });
    (value, at + length)
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn digits_count_by_value_and_letters_come_last() {
        let mut keys = vec!["a10", "b", "a2", "_x", "9", "10", "a", "A", "a.b", "a-b", "ab"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["_x", "9", "10", "A", "a", "a-b", "a.b", "a2", "a10", "ab", "b"]);
    }
}
