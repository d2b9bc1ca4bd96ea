//! The parts of packages that can be judged without building one: the unit, completions, manual pages, lists of files.

use std::fs;

use super::support::skip::{Missing, need};
use super::{read, run, text, tree};

/// `systemd-analyze` counts tenths: 16 is 1.6.
#[test]
fn the_unit_exposes_little() {
    let arguments = ["security", "--no-pager", "--offline=true", "--threshold=16", "deploy/systemd/yizhan.service"];
    text(&need!(run("systemd-analyze", &arguments)));
}

#[test]
fn systemd_understands_the_unit() {
    let folder = super::support::folder::Folder::new("deploy");
    let unit = folder.path().join("yizhan.service");
    let program = env!("CARGO_BIN_EXE_yizhan");
    let text = read("deploy/systemd/yizhan.service").replace("/usr/bin/yizhan", program);
    // The pages are not installed here.
    let lines = text.lines().filter(|line| !line.starts_with("Documentation="));
    fs::write(&unit, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output = need!(run("systemd-analyze", &["verify", "--man=no", unit.to_str().unwrap()]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Each shell reads its file, and knows the commands.
#[test]
fn shells_take_the_completions() {
    text(&need!(run("zsh", &["-n", "deploy/completions/_yizhan"])));
    text(&need!(run("fish", &["-n", "deploy/completions/yizhan.fish"])));
    let bash = "source deploy/completions/yizhan.bash; COMP_WORDS=(yizhan que); COMP_CWORD=1; _yizhan yizhan que yizhan; \
        echo \"${COMPREPLY[*]}\"";
    let found = text(&need!(run("bash", &["--norc", "-c", bash])));
    assert_eq!(found.trim(), "queue");
    let fish = "source deploy/completions/yizhan.fish; complete -C 'yizhan queue re'";
    let found = text(&need!(run("fish", &["--no-config", "-c", fish])));
    assert!(found.lines().any(|line| line.starts_with("retry")), "{found}");
}

#[test]
fn man_shows_the_pages_without_a_warning() {
    for page in ["deploy/man/yizhan.1", "deploy/man/yizhan.toml.5"] {
        let output = need!(run("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", page]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{page}: {said}");
        assert!(text(&output).len() > 5_000, "{page}");
    }
}

#[test]
fn the_commands_print_the_files() {
    for (arguments, file) in [
        (&["completions", "bash"][..], "completions/yizhan.bash"),
        (&["completions", "zsh"], "completions/_yizhan"),
        (&["completions", "fish"], "completions/yizhan.fish"),
        (&["man"], "man/yizhan.1"),
        (&["man", "yizhan.toml"], "man/yizhan.toml.5"),
    ] {
        let printed = text(&run(env!("CARGO_BIN_EXE_yizhan"), arguments).unwrap());
        assert!(printed == read(&format!("deploy/{file}")), "{arguments:?}");
    }
    let wrong = run(env!("CARGO_BIN_EXE_yizhan"), &["completions", "tcsh"]).unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("possible values: bash, zsh, fish"), "{said}");
}

#[test]
fn every_file_of_the_packages_exists() {
    let mut count = 0;
    for list in ["deploy/nfpm.yaml", "deploy/nfpm-mta.yaml"] {
        let text = read(list);
        let words = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| word.starts_with("deploy/") || word.starts_with("conf/"));
        for path in words.filter(|path| *path != "deploy/package") {
            assert!(tree(path).is_file(), "{list} names {path}");
            count += 1;
        }
        // A settings file in a package would be one that the next version asks about.
        assert!(!text.contains("dst: /etc/yizhan"), "{list}");
    }
    assert!(count > 20, "{count}");
}

/// Maintainer scripts are read by the shell that runs them.
#[test]
fn scripts_of_packages_are_understood() {
    let scripts = fs::read_dir(tree("deploy/packaging")).unwrap().map(|entry| entry.unwrap().path());
    let scripts = scripts.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        !["copyright", "changelog.yaml", "lintian-overrides", "lintian-overrides-mta"].contains(&name.as_str())
    });
    let mut count = 0;
    for script in scripts {
        let ran: Result<_, Missing> = run("sh", &["-n", script.to_str().unwrap()]);
        text(&need!(ran));
        count += 1;
    }
    assert_eq!(count, 11);
}
