//! Broken settings, each with the exact text a person reads.
//!
//! `tests/bad_config/NN-name/` holds `yizhan.toml` (may be missing), `env` (lines `NAME=text`, and `--option text` for
//! the command line; may be missing) and `expected-error`, in which `{providers}` stands for the names of all presets. On a mismatch the text that came is written beside it as
//! `expected-error.failed`; when it is the better one, rename it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use yizhan::config::{FileSource, Overrides, Sources, load};
use yizhan::provider::names;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_config");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn sources(case: &Path) -> Sources {
    let file = match fs::read_to_string(case.join("yizhan.toml")) {
        Ok(text) => FileSource::Text { name: "yizhan.toml".into(), text },
        Err(_) => FileSource::Search(Vec::new()),
    };
    let mut env = BTreeMap::from([("HOME".to_owned(), "/home/relay".to_owned())]);
    let mut overrides = Overrides::default();
    for line in fs::read_to_string(case.join("env")).unwrap_or_default().lines() {
        if let Some((option, text)) = line.split_once(' ').filter(|(option, _)| option.starts_with("--")) {
            match option {
                "--config" => overrides.config = Some(text.into()),
                "--provider" => overrides.provider = Some(text.into()),
                "--user" => overrides.user = Some(text.into()),
                "--listen" => overrides.listen.push(text.into()),
                "--allow" => overrides.allow.push(text.into()),
                _ => panic!("{option} in {}", case.display()),
            }
        } else {
            let (name, text) = line.split_once('=').expect("NAME=text");
            env.insert(name.to_owned(), text.to_owned());
        }
    }
    Sources { file, env, overrides, machine: "relay".to_owned(), can_ask: false }
}

#[test]
fn every_mistake_has_its_text() {
    let mut failed = Vec::new();
    for case in cases() {
        let came = match load(sources(&case)) {
            Ok(_) => "no mistake was found\n".to_owned(),
            Err(problems) => problems.to_string(),
        };
        // The list grows with every preset; which names are in it is the preset table's business.
        let came = came.replace(&names().collect::<Vec<_>>().join(", "), "{providers}");
        // Whatever else a fixture is about: its secret is called hunter2 and must not come back.
        assert!(!came.contains("hunter2"), "{}:\n{came}", case.display());
        let expected = fs::read_to_string(case.join("expected-error")).unwrap_or_default();
        let beside = case.join("expected-error.failed");
        if came == expected {
            let _ = fs::remove_file(beside);
        } else {
            fs::write(&beside, &came).unwrap();
            failed.push(format!("{}\n--- expected\n{expected}--- came\n{came}", case.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_text_names_a_remedy() {
    let cases = cases();
    assert!(cases.len() >= 15, "{}", cases.len());
    for case in cases {
        for problem in load(sources(&case)).unwrap_err().0 {
            assert!(!problem.reason.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            assert!(!problem.key.is_empty() || !problem.origin.is_empty(), "{problem:?}");
        }
    }
}
