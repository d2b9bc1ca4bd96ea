//! Every numbered row has a test that bears its number: Q what clients send, A attacks and faults, U how servers behave.
//!
//! A row counts when a test function has it in its name (`q_013_an_empty_hello_is_taken`), or when the readme of a golden
//! mail names it (`Q-096`), which `tests/message/golden.rs` compares octet for octet. Not here: what a row demands; that is the
//! test's. Invariant: a number that nobody tests is named, so that renaming or deleting a test cannot lose a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files(&path, into),
            false => into.push(path),
        }
    }
}

fn all(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found
}

/// The rows in a function's name: `u_06_u_07_the_end_changes_nothing` has two, `q_053_to_q_058_log_ins` has six.
fn in_name(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let number = |at: usize| {
        let letter = words.get(at).filter(|word| matches!(**word, "q" | "a" | "u"))?.to_ascii_uppercase();
        Some((letter, *words.get(at + 1).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))?))
    };
    let mut rows = Vec::new();
    for at in 0..words.len() {
        let Some((letter, row)) = number(at) else { continue };
        rows.push(format!("{letter}-{row}"));
        let last = number(at + 3).filter(|_| words.get(at + 2) == Some(&"to"));
        if let (Ok(first), Some(Ok(last))) = (row.parse::<u32>(), last.map(|(_, row)| row.parse())) {
            rows.extend((first + 1..last).map(|between| format!("{letter}-{between:03}")));
        }
    }
    rows
}

/// The rows in a text: `Q-096`.
fn in_text(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.len() == 5 && word.starts_with("Q-")).map(str::to_owned).collect()
}

/// The names of the test functions of a source file.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let marked = move |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).count() > 0;
    source.lines().enumerate().filter_map(move |(at, line)| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("async ");
        // A table of tests that a macro makes: `a_002_lf_dot_lf_is_text: "A-002";`.
        if let Some((name, _)) = line.split_once(": \"").filter(|_| line.ends_with("\";")) {
            return Some(name);
        }
        let name = line.strip_prefix("fn ")?.split(['(', '<']).next()?;
        marked(at).then_some(name)
    })
}

fn rows() -> BTreeSet<String> {
    let numbered = |letter: &'static str, count: usize, width: usize| {
        (1..=count).map(move |number| format!("{letter}-{number:0width$}"))
    };
    let mut rows: BTreeSet<String> =
        numbered("Q", 127, 3).chain(numbered("A", 113, 3)).chain(numbered("U", 12, 2)).collect();
    rows.remove("A-012");
    rows.extend(["A-012a", "A-012b", "A-012c"].map(str::to_owned));
    rows
}

#[test]
fn every_row_has_a_test() {
    let mut tested = BTreeSet::new();
    for path in all("tests").into_iter().chain(all("src")).filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let source = fs::read_to_string(&path).unwrap();
        tested.extend(tests(&source).flat_map(in_name));
    }
    for readme in all("tests/golden").into_iter().filter(|path| path.ends_with("readme")) {
        tested.extend(in_text(&fs::read_to_string(readme).unwrap()));
    }
    let missing: Vec<String> = rows().difference(&tested).cloned().collect();
    assert!(missing.is_empty(), "no test bears these numbers: {}", missing.join(" "));
}

#[test]
fn numbers_are_found_where_they_stand() {
    assert_eq!(in_name("u_06_u_07_the_end_changes_nothing"), ["U-06", "U-07"]);
    assert_eq!(in_name("a_012c_is_the_end"), ["A-012c"]);
    assert_eq!(in_name("q_053_to_q_056_log_ins"), ["Q-053", "Q-054", "Q-055", "Q-056"]);
    assert_eq!(in_name("a_message_in_2_parts"), Vec::<String>::new());
    assert_eq!(in_text("GBK subject (Q-096), no Date (Q-091)."), ["Q-096", "Q-091"]);
    let source = "#[tokio::test]\nasync fn q_001_early() {}\n\nfn q_002_not_a_test() {}\n";
    assert_eq!(tests(source).collect::<Vec<_>>(), ["q_001_early"]);
    assert_eq!(rows().len(), 127 + 113 + 2 + 12);
}
