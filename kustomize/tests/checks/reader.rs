//! The YAML reader and the writer: what was written reads as the same again.

use super::loaded;
use lapdev_kustomize::to_yaml;

/// Begins an object, so that any value makes one.
const OBJECTS: [&str; 3] = ["", "kind: A\nmetadata: {name: a}\nx: ", "kind: A\nmetadata: {name: a}\nx:\n"];

pub fn holds(bytes: &[u8]) {
    for begin in OBJECTS {
        reads_back(&[begin.as_bytes(), bytes].concat());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        // The text as it is, as a value and as a key.
        let quoted = serde_json::to_string(text).unwrap_or_default();
        reads_back(format!("kind: A\nmetadata: {{name: a}}\nx: {quoted}\n").as_bytes());
        reads_back(format!("kind: A\nmetadata: {{name: a}}\nx: {{{quoted}: [{quoted}]}}\n").as_bytes());
    }
}

fn reads_back(bytes: &[u8]) {
    let Some(objects) = loaded(bytes) else { return };
    let text = to_yaml(&objects);
    // The reference writes this key without quotes, and cannot read it then.
    if text.contains("<<:") || breaks_a_block(&text) {
        return;
    }
    let Some(again) = loaded(text.as_bytes()) else { panic!("not read again:\n{text}") };
    assert_eq!(objects, again, "read as something else:\n{text}");
    assert_eq!(text, to_yaml(&again), "written otherwise");
}

/// Whether a text in a block has a break that only YAML 1.1 knows: the reference indents what follows, and so do we, but
/// only the reference takes that away again.
fn breaks_a_block(text: &str) -> bool {
    let begins_block = |line: &str| line.rsplit(' ').next().is_some_and(|word| word.starts_with(['|', '>']));
    text.contains(['\u{85}', '\u{2028}', '\u{2029}']) && text.lines().any(begins_block)
}
