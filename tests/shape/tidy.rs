//! The shape of the source: layers, pure files, circles of files, homes of types, lengths, first lines, stray marks.
//!
//! The layer table is the one in `docs/architecture.md`. A new arrow against it needs a change here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::modules::Modules;

/// Each top-level module, its layer, and the modules of the same layer that it may sit on.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("cli", 9, &[]),
    ("app", 8, &[]),
    ("config", 7, &[]),
    ("admin", 6, &[]),
    ("delivery", 5, &[]),
    ("intake", 4, &[]),
    ("upstream", 4, &[]),
    ("sandbox", 4, &[]),
    ("account", 3, &[]),
    ("report", 3, &[]),
    ("oauth", 3, &[]),
    ("queue", 2, &[]),
    ("limits", 2, &[]),
    ("provider", 2, &[]),
    ("net", 2, &[]),
    ("route", 2, &[]),
    ("smtp", 1, &[]),
    ("message", 1, &[]),
    ("mail", 0, &["clock"]),
    ("clock", 0, &[]),
    ("secret", 0, &["regular_file"]),
    ("regular_file", 0, &[]),
    ("alert_channels", 0, &["clock"]),
    ("fingerprint", 0, &[]),
    ("drain", 0, &[]),
    ("telemetry", 0, &["clock", "secret"]),
    ("language", 0, &[]),
];

/// Files (or folders) that compute and do nothing else: no socket, no clock, no file, no task.
const PURE: &[&str] = &[
    "smtp",
    "message",
    "mail.rs",
    "mail",
    "provider",
    "queue/client_lines.rs",
    "queue/counters_and_leases.rs",
    "queue/entry.rs",
    "queue/fair.rs",
    "queue/request.rs",
    "account/alarm.rs",
    "alert_channels.rs",
    "report/digest.rs",
    "report/digest_builder.rs",
    "report/own_mail.rs",
    "report/relay_alarm.rs",
    "report/reach.rs",
    "delivery/schedule.rs",
    "route",
    "admin/http/trust.rs",
    "account/breaker.rs",
    "account/budget.rs",
    "account/budget",
    "account/lane.rs",
    "delivery/plan.rs",
    "delivery/settle.rs",
    "account/unknown_replies.rs",
    "account/availability.rs",
    "account/feedback.rs",
    "account/profile.rs",
    "account/state.rs",
    "account/status.rs",
    "language.rs",
    "oauth/answer.rs",
    "oauth/browser.rs",
    "oauth/device.rs",
    "oauth/fault.rs",
    "oauth/request.rs",
    "oauth/settings.rs",
    "upstream/outcome.rs",
    "report/webhook/answer.rs",
    "report/webhook/form.rs",
    "report/webhook/remedy.rs",
    "report/webhook/retry.rs",
    "report/webhook/sign.rs",
    "report/webhook/target.rs",
    "cli/doctor/findings",
    "cli/doctor/probe/certificate.rs",
    "cli/doctor/probe/dns_message.rs",
    "cli/finding.rs",
];

/// What a pure file may not name.
const IMPURE: &[&str] =
    &["tokio", "std::net::Tcp", "std::fs", "std::time::Instant", "SystemTime", "std::thread", "std::env", "Clock::"];

/// The largest circle of files inside one folder.
const LARGEST_CIRCLE: usize = 3;

/// In how many files the inherent `impl` blocks of a type may be.
const MOST_IMPL_FILES: usize = 3;

/// A prompt to think: a type and its methods stay in one file.
const LONGEST_FILE: usize = 480;
const LONGEST_FUNCTION: usize = 80;

/// Files of `src`, with their text up to the first test module.
pub(crate) fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.insert(path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(found.len() > 50, "only {} files: is this the right folder?", found.len());
    found
}

/// Whether the whole file is a test module (`foo/tests.rs`).
pub(crate) fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// The text above the tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// The top-level module a file belongs to; none for lib.rs and main.rs.
fn module(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_string_lossy().into_owned();
    let name = first.trim_end_matches(".rs").to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// The modules that a text names as `crate::x`, in `use` lines and elsewhere, groups included.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => {
                let (mut depth, mut item) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(word(std::mem::take(&mut item).trim())),
                        _ => {}
                    }
                    if depth == 0 && c != ',' {
                        item.push(c);
                    }
                }
                found.push(word(item.trim()));
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn imports_go_down_only() {
    let layer = |name: &str| LAYERS.iter().find(|(n, _, _)| *n == name);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        let Some((_, level, beside)) = layer(&own) else {
            wrong.push(format!("{}: module `{own}` is not in the table", path.display()));
            continue;
        };
        for name in imports(&text) {
            match layer(&name) {
                _ if name == own => {}
                Some((_, other, _)) if other < level || (other == level && beside.contains(&name.as_str())) => {}
                Some(_) => wrong.push(format!("{}: {own} may not import {name}", path.display())),
                None => wrong.push(format!("{}: crate::{name} is not a module of the table", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn modules() -> Modules {
    let sources = sources();
    let kept = sources.iter().filter(|(path, _)| !is_test(path) && !path.ends_with("main.rs"));
    Modules::read(kept.map(|(path, text)| (path, production(text))))
}

#[test]
fn files_use_each_other_in_no_wide_circle() {
    let modules = modules();
    let files: BTreeSet<PathBuf> = modules.arrows().keys().map(|file| file.to_path_buf()).collect();
    // `account/budget.rs` belongs to the folder `account/budget`, where there is one.
    let folder = |file: &PathBuf| {
        let own = file.with_extension("");
        let has_files = files.iter().any(|other| other.starts_with(&own));
        if has_files { own } else { file.parent().unwrap_or(Path::new("")).to_owned() }
    };
    let allowed = |circle: &BTreeSet<PathBuf>| {
        circle.len() <= LARGEST_CIRCLE && circle.iter().map(folder).collect::<BTreeSet<_>>().len() == 1
    };
    let wide: Vec<_> = modules.circles().into_iter().filter(|circle| !allowed(circle)).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn a_type_and_its_methods_live_in_one_place() {
    let modules = modules();
    let inherent = modules.inherent();
    assert!(inherent.len() > 100, "only {} types with methods were found", inherent.len());
    let scattered: Vec<_> = inherent.iter().filter(|(_, files)| files.len() > MOST_IMPL_FILES).collect();
    assert!(scattered.is_empty(), "{scattered:#?}");
}

#[test]
fn the_table_is_the_drawing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let lib = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    for (name, level, _) in LAYERS {
        let line = page.lines().find(|line| line.trim_start().starts_with(&format!("{level}  "))).unwrap_or_default();
        let words: Vec<&str> = line.split([' ', '|']).collect();
        assert!(words.contains(name), "{name} is not in layer {level} of docs/architecture.md");
        assert!(lib.contains(&format!("pub mod {name};")), "{name} is not declared");
    }
}

#[test]
fn pure_files_do_nothing_but_compute() {
    let mut wrong = Vec::new();
    let all = sources();
    for pure in PURE {
        let files: Vec<_> = all.iter().filter(|(path, _)| path.starts_with(pure) && !is_test(path)).collect();
        assert!(!files.is_empty(), "{pure} does not exist");
        for (path, text) in files {
            for word in IMPURE {
                let uses = |line: &&str| !line.trim_start().starts_with("//") && line.contains(word);
                if let Some(line) = production(text).lines().find(uses) {
                    wrong.push(format!("{} names {word}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            wrong.push(format!("{} does not begin with `//!`", path.display()));
        }
        if text.lines().count() > LONGEST_FILE {
            wrong.push(format!("{} has {} lines", path.display(), text.lines().count()));
        }
        for banned in ["utils", "common", "helpers", "types", "core"] {
            if path.with_extension("").components().any(|part| part.as_os_str() == banned) {
                wrong.push(format!("{}: `{banned}` says nothing", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn functions_fit_on_a_screen() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_fn = [
                "fn ",
                "pub fn ",
                "pub(super) fn ",
                "pub(crate) fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) async fn ",
            ]
            .iter()
            .any(|word| code.starts_with(word));
            if !is_fn {
                continue;
            }
            let close = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[start..].iter().position(|l| **l == *close).map_or(0, |n| n + 1);
            if length > LONGEST_FUNCTION {
                wrong.push(format!("{}:{}: {length} lines: {code}", path.display(), start + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_or_unchecked() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) {
            continue;
        }
        for (number, line) in production(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for mark in [".unwrap()", "todo!(", "unimplemented!(", "dbg!(", "#[ignore"] {
                if line.contains(mark) {
                    wrong.push(format!("{}:{}: {mark}", path.display(), number + 1));
                }
            }
        }
        for mark in ["TODO", "FIXME", "XXX"] {
            if text.contains(mark) {
                wrong.push(format!("{}: {mark}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_has_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let reasons = fs::read_to_string(root.join("docs/dependencies.md")).unwrap();
    let mut inside = false;
    let mut seen = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies]");
            continue;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| inside && !line.starts_with('#')) else { continue };
        assert!(reasons.contains(&format!("`{name}`")), "docs/dependencies.md does not say why `{name}`");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} dependencies were found");
}

#[test]
fn every_log_line_names_its_event() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for level in ["error", "warn", "info", "debug"] {
            for (at, _) in text.match_indices(&format!("tracing::{level}!(")) {
                let call: String = text[at..].chars().take(60).collect();
                if !call.contains("event = ") {
                    wrong.push(format!("{}: {call}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
