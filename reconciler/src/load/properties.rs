//! Properties: no input panics, and a slip is told where it was made.

use super::{tests::*, *};
use proptest::prelude::*;

/// A tree that loads; every line of it means something.
fn valid() -> String {
    [CLUSTER, CATALOG, ENVIRONMENT].join("---\n")
}

proptest! {
    #[test]
    fn any_bytes_are_answered_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for scope in [Scope::Own, Scope::Shared] {
            let _ = load(&[SourceFile::new("x.yaml", bytes.clone())], scope);
        }
        let _ = branch_file(BRANCH_FILE, &bytes);
    }

    #[test]
    fn text_that_is_almost_yaml_never_panics(text in "[a-z0:\\-\\[\\]{}&*!|>'\"%@` \n\t#?,<.é]{0,200}") {
        let _ = load(&[SourceFile::new("x.yaml", text.as_bytes())], Scope::Own);
        let _ = load(&[SourceFile::new("x.yaml", format!("{}{text}", valid()))], Scope::Own);
    }

    /// One line is cut, doubled, emptied or gets a letter: either the tree still loads, or something is said of that
    /// line, of the one that it now runs into, or of the mapping that lacks it.
    #[test]
    fn a_slip_in_a_line_is_told_near_that_line(line in 0usize..44, column in 0usize..60, kind in 0u8..4) {
        let text = valid();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = line % lines.len();
        let at = lines[line].char_indices().map(|(i, _)| i).nth(column).unwrap_or(lines[line].len());
        match kind {
            0 => lines[line].insert(at, 'q'),
            1 => lines[line].truncate(at),
            2 => { let copy = lines[line].clone(); lines.insert(line, copy); }
            _ => lines[line].insert(at, '\t'),
        }
        let mutated = lines.join("\n");
        let loaded = load(&[SourceFile::new("x.yaml", mutated.clone())], Scope::Own);
        let again = load(&[SourceFile::new("x.yaml", mutated.clone())], Scope::Own);
        prop_assert_eq!(&loaded, &again);
        // The document that holds the line: its errors may be told at the mapping's beginning, or where it ends.
        let start = lines[..=line].iter().rposition(|l| l == "---").unwrap_or(0) as u32;
        let end = lines[line + 1..].iter().position(|l| l == "---").map_or(lines.len(), |i| line + 2 + i) as u32;
        for error in &loaded.errors {
            let told = error.position.line;
            prop_assert!((start + 1..=end + 1).contains(&told), "line {} is told at {error} in\n{mutated}", line + 1);
        }
    }

    #[test]
    fn an_unknown_field_is_told_on_its_very_line(line in 0usize..44) {
        let text = valid();
        let lines: Vec<&str> = text.lines().collect();
        let line = line % lines.len();
        // A field of a block mapping, at the indentation of the line that it stands before.
        let here = lines[line];
        let indent = here.len() - here.trim_start().len();
        prop_assume!(!here.trim_start().starts_with('-') && here.contains(": "));
        let mut mutated: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        mutated.insert(line, format!("{}zzyzx: 1", " ".repeat(indent)));
        let loaded = load(&[SourceFile::new("x.yaml", mutated.join("\n"))], Scope::Own);
        prop_assert_eq!(loaded.errors.len(), 1, "{:?}", loaded.errors);
        prop_assert_eq!(loaded.errors[0].position, Position { line: line as u32 + 1, column: indent as u32 + 1 });
        prop_assert!(loaded.errors[0].message.contains("zzyzx"));
    }
}
