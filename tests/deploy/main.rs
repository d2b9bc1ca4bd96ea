//! What `deploy/` has: rendered and judged by other programs, and compared with what the repository keeps.
//!
//! A rendering that changed is left beside the old one as `NAME.failed`; with `YIZHAN_BLESS=1` it takes its place.

mod containers;
mod kubernetes;
mod packages;

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, io};

use support::skip::Missing;

/// A path from the root of the repository.
fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(tree(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a program in the root of the repository; it is `Missing` where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Result<Output, Missing> {
    run_with(program, arguments, "")
}

/// The same, with this text on its standard input.
fn run_with(program: &str, arguments: &[&str], input: &str) -> Result<Output, Missing> {
    let file = support::folder::Folder::new("deploy");
    let path = file.path().join("input");
    fs::write(&path, input).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(tree(""))
        .env("PYTHONPATH", tree("target/deploy-tools"))
        .stdin(Stdio::from(fs::File::open(&path).unwrap()))
        .output();
    match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Missing(program.to_owned())),
        output => Ok(output.unwrap()),
    }
}

/// What a program printed that ended well.
fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Compares with `tests/golden/deploy/NAME`.
fn compare(name: &str, actual: &str) {
    let path = tree("tests/golden/deploy").join(name);
    let failed = path.with_file_name(format!("{name}.failed"));
    let _ = fs::remove_file(&failed);
    if std::env::var_os("YIZHAN_BLESS").is_some() {
        return fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected != actual {
        let different = expected.lines().zip(actual.lines()).position(|(old, new)| old != new);
        let line = different.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
        fs::write(failed, actual).unwrap();
        panic!(
            "{name} changed in line {}: `{}` is `{}`; look at {name}.failed, then run again with YIZHAN_BLESS=1",
            line + 1,
            expected.lines().nth(line).unwrap_or_default(),
            actual.lines().nth(line).unwrap_or_default()
        );
    }
}
