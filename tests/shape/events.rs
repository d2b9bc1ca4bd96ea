//! The table of log events in `docs/operations.md`, and those that the source writes: the same, both ways. So are the
//! reasons of refusals.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, into),
            false if path.extension().is_some_and(|end| end == "rs") => into.push(path),
            false => {}
        }
    }
}

/// The source without tests, by file.
fn source() -> Vec<String> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let tests = |path: &PathBuf| path.file_stem().is_some_and(|name| name == "tests");
    let texts = files.iter().filter(|path| !tests(path)).map(|path| fs::read_to_string(path).unwrap());
    texts.map(|text| text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()).collect()
}

/// The first words in quotes behind each `mark`, on its line.
fn quoted_after(text: &str, mark: &str) -> Vec<String> {
    let after = text.match_indices(mark).map(|(at, _)| text[at + mark.len()..].lines().next().unwrap_or_default());
    after.filter_map(|rest| rest.split('"').nth(1).map(str::to_owned)).filter(|word| is_name(word)).collect()
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
}

fn written() -> BTreeSet<String> {
    let mut events = BTreeSet::new();
    for text in source() {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        events.extend(quoted_after(&code, "event = "));
        events.extend(quoted_after(&code, "within_budget!("));
        // A line that is made by hand, because the log itself is the subject.
        events.extend(quoted_after(&code, "Fact { format: Some(format), name: "));
    }
    events
}

/// The first column of the table under this line of `docs/operations.md`: all names in it.
fn first_column(header: &str) -> BTreeSet<String> {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let table = docs.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap().to_owned();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_event_has_its_row_and_every_row_its_event() {
    let (mut written, mut listed) = (written(), first_column("| event | level | keys | means |"));
    assert!(written.len() > 60 && listed.len() > 60, "{} {}", written.len(), listed.len());
    assert!(listed.remove("sandbox_..."));
    written.retain(|event| !event.starts_with("sandbox_"));
    let (missing, stale) = (&written - &listed, &listed - &written);
    assert!(missing.is_empty() && stale.is_empty(), "no row: {missing:?}; no event: {stale:?}");
}

#[test]
fn every_reason_of_a_refusal_has_its_row_and_every_row_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    // The last word in quotes of a call, `reason: "..."`, and the names of the enums.
    let mut reasons = BTreeSet::new();
    let refusal = read("intake/refusal.rs");
    for call in refusal.split("Refusal::new(").skip(1) {
        let call = call.split(')').next().unwrap();
        reasons.extend(call.split('"').skip(1).step_by(2).last().map(str::to_owned).filter(|word| is_name(word)));
    }
    reasons.extend(quoted_after(&refusal, "reason: "));
    for file in ["intake/connection.rs", "intake/listener.rs"] {
        reasons.extend(quoted_after(&read(file), "RefusalLine::unanswered("));
    }
    for (file, mark) in
        [("smtp/server/event.rs", "RefusalCause::"), ("limits/capacity.rs", "Full::"), ("limits/guard.rs", "Spent::")]
    {
        for line in read(file).lines().filter(|line| line.trim_start().starts_with(mark) && line.contains("=> \"")) {
            reasons.extend(line.split('"').nth(1).map(str::to_owned));
        }
    }
    let listed = first_column("| reason | the client was told | what to look at |");
    let (missing, stale) = (&reasons - &listed, &listed - &reasons);
    assert!(reasons.len() > 40, "{reasons:?}");
    assert!(missing.is_empty() && stale.is_empty(), "no row: {missing:?}; no reason: {stale:?}");
}
