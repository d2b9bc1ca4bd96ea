//! The corpora of the fuzzer once more, on stable Rust: everything it found worth keeping, through the same functions.
//!
//! `fuzz/` is a package of its own (libFuzzer wants a C++ compiler and compiler flags); what must hold is in
//! `fuzz/invariants/`, which this file shares. A crash that the fuzzer finds becomes a file of the corpus, with a name
//! that says what it is. Not here: new inputs; see docs/testing.md for how to look for them.

use std::fs;
use std::panic;
use std::path::Path;

use crate::invariants;

/// The most files without a name that a target's corpus holds; `docs/testing.md` says how they are chosen.
const UNNAMED: usize = 60;

/// Whether libFuzzer chose the name: the SHA-1 of the content.
fn is_unnamed(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// Runs all files, and names every one that broke something.
fn replay(target: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut broken = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        files += 1;
        if panic::catch_unwind(|| holds(&input)).is_err() {
            broken.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(files >= 20, "only {files} files in {}", folder.display());
    assert!(broken.is_empty(), "{target}: {} of {files} files:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn no_corpus_has_more_than_60_unnamed_files() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")).unwrap();
    let mut targets = 0;
    for folder in folders {
        let folder = folder.unwrap().path();
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let unnamed = names.filter(|name| is_unnamed(name)).count();
        assert!(unnamed <= UNNAMED, "{unnamed} unnamed files in {}", folder.display());
        targets += 1;
    }
    assert_eq!(targets, 9);
}

#[test]
fn header_blocks_of_the_corpus() {
    replay("header_block", invariants::header_block);
}

#[test]
fn mails_of_the_corpus() {
    replay("repair", invariants::repair);
}

#[test]
fn header_values_of_the_corpus() {
    replay("encoded_word", invariants::encoded_word);
}

#[test]
fn command_lines_of_the_corpus() {
    replay("command_line", invariants::command::command_line);
}

#[test]
fn data_of_the_corpus() {
    replay("data_framer", invariants::framer::data_framer);
}

#[test]
fn dialogues_with_clients_of_the_corpus() {
    replay("server_dialogue", invariants::session::server_dialogue);
}

#[test]
fn dialogues_with_servers_of_the_corpus() {
    replay("client_dialogue", invariants::client::client_dialogue);
}

#[test]
fn replies_of_the_corpus() {
    replay("reply_parser", invariants::replies::reply_parser);
}

#[test]
fn settings_of_the_corpus() {
    replay("settings", invariants::settings::settings);
}
