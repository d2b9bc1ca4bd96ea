//! `docs/architecture.md` against the source: every file has its line, and every function that is named exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    fs::read_to_string(path).expect("the page exists")
}

/// The paths of the tree at the end of the page: a folder ends with `/`, and its files are indented by two blanks more.
fn tree(page: &str) -> Vec<String> {
    let block = page.split("## Files").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("there is a tree");
    let (mut folders, mut files): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for line in block.lines().filter(|line| line.starts_with([' ', 's'])) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let name = line.split_whitespace().next().expect("no line is blank");
        folders.truncate(depth);
        match name.strip_suffix('/') {
            Some(folder) => folders.push(folder),
            None => files.push(folders.iter().skip(1).chain(&[name]).copied().collect::<Vec<_>>().join("/")),
        }
        assert!(line.split_whitespace().nth(1).is_some(), "{name} has no word behind it");
    }
    files
}

#[test]
fn every_file_has_one_line() {
    let listed = tree(&page());
    let named: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(named.len(), listed.len(), "a file has two lines");
    let is_code = |path: &Path| !super::tidy::is_test(path);
    let all = super::tidy::sources();
    let real: BTreeSet<String> = all.keys().filter(|p| is_code(p)).map(|path| path.display().to_string()).collect();
    let missing: Vec<_> = real.difference(&named).collect();
    let gone: Vec<_> = named.difference(&real).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a line: {missing:?}\nno such file: {gone:?}");
}

#[test]
fn every_function_that_is_named_exists() {
    let (page, all) = (page(), super::tidy::sources());
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let mut seen = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let Some(at) = cells.iter().position(|cell| cell.ends_with(".rs")) else { continue };
        let text = all.get(Path::new(cells[at])).unwrap_or_else(|| panic!("{} does not exist", cells[at]));
        let function = cells[at + 1];
        let name = function.rsplit("::").next().unwrap_or_default();
        assert!(
            function.is_empty() || text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<")),
            "{} has no function {name}",
            cells[at]
        );
        if let Some((owner, _)) = function.split_once("::") {
            assert!(text.lines().any(|line| line.starts_with("impl") && line.contains(owner)), "{function}");
        }
        seen += 1;
    }
    assert!(seen > 30, "only {seen} rows name a file");
}
