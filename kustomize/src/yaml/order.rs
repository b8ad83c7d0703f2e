//! The order of keys in output: go-yaml's "natural" one, digits by value and letters after the rest.

use std::cmp::Ordering;

/// Sorts entries by their keys as go-yaml does, never mind what the order is worth.
///
/// Its comparison is no order where digits come in: `1` < `01` < `0a` < `1`. The sort of the
/// standard library may panic then, so such keys are merged by hand.
pub fn sort<V: Copy>(entries: &mut Vec<(&String, V)>) {
    let compare = |a: &(&String, V), b: &(&String, V)| natural(a.0, b.0);
    match entries.iter().any(|(key, _)| key.contains(|c: char| c.is_ascii_digit())) {
        false => entries.sort_by(compare),
        true => merge_sort(entries, compare),
    }
}

/// A stable sort that ends with the same entries whatever the comparison says.
fn merge_sort<T: Copy>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let mut width = 1;
    while width < items.len() {
        let mut merged = Vec::with_capacity(items.len());
        for run in items.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let ([first, others @ ..], [second, rest @ ..]) = (left, right) {
                if compare(first, second) == Ordering::Greater {
                    merged.push(*second);
                    right = rest;
                } else {
                    merged.push(*first);
                    left = others;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        *items = merged;
        width *= 2;
    }
}

/// Compares two keys as go-yaml sorts them.
fn natural(a: &str, b: &str) -> Ordering {
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
    use super::*;

    fn sorted(keys: &[&str]) -> Vec<String> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let mut entries: Vec<(&String, ())> = keys.iter().map(|key| (key, ())).collect();
        sort(&mut entries);
        entries.into_iter().map(|(key, ())| key.clone()).collect()
    }

    #[test]
    fn digits_count_by_value_and_letters_come_last() {
        let keys = ["a10", "b", "a2", "_x", "9", "10", "a", "A", "a.b", "a-b", "ab"];
        assert_eq!(sorted(&keys), ["_x", "9", "10", "A", "a", "a-b", "a.b", "a2", "a10", "ab", "b"]);
    }

    #[test]
    fn keys_without_an_order_are_written_each_once() {
        assert!(
            ["1", "01", "0a"].windows(2).all(|pair| natural(pair[0], pair[1]).is_lt()) && natural("0a", "1").is_lt()
        );
        let characters = ["0", "1", "2", "9", "a", "_", ""];
        let each = || characters.into_iter();
        let keys: Vec<String> =
            each().flat_map(|a| each().flat_map(move |b| each().map(move |c| format!("{a}{b}{c}")))).collect();
        let mut before: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut after = sorted(&before);
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!(before, after);
    }
}
