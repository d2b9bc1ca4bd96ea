//! links and pipes in the place of the relay's own files and folders, with the real program.
//!
//! Not here: links that are planted in the spool while the queue is open (`queue::damage`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use yizhan::sandbox::SandboxLimits;

use super::taken;
use crate::support::load::Books;
use crate::support::office::{CODE, provider};
use crate::support::program::{QUICK, Site, field_of, files};

/// A folder of somebody else that looks like a spool, with what a sweep would move or delete.
fn foreign(site: &Site) -> PathBuf {
    let folder = site.folder.path().join("foreign");
    for (name, text) in [
        ("ef/0123456789abcdef", "precious"),
        ("ef/0123456789abcdef.part", "half"),
        ("ef/passwd", "root"),
        ("photos/holiday.jpg", "sea"),
    ] {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("it has one")).expect("it is ours");
        fs::write(file, text).expect("it is ours");
    }
    folder
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(folder).into_iter().map(|file| (file.clone(), fs::read(file).expect("it is there"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_048_a_link_in_the_place_of_the_spool_stops_the_start_and_nothing_behind_it_is_touched() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("spool-link", &sandbox, QUICK);
    let foreign = foreign(&site);
    let before = contents(&foreign);
    assert_eq!(before.len(), 4);
    fs::create_dir(&site.data).expect("it is ours");
    let spool = site.data.join("spool");
    // Also a link that leads nowhere yet.
    for target in [foreign.clone(), site.folder.path().join("nowhere")] {
        symlink(&target, &spool).expect("it is ours");
        for arguments in [&["run", "--listen", "127.0.0.1:0"][..], &["queue", "list"]] {
            let ran = site.ask(arguments).await;
            // Without a database there is no queue to list.
            if arguments[0] == "run" {
                let text = ran.with_code(1);
                let words = [&*spool.display().to_string(), "symbolic link", "put a folder in its place", "bind mount"];
                assert!(words.iter().all(|word| text.contains(word)), "{text}");
            }
        }
        assert_eq!(contents(&foreign), before);
        assert!(!site.folder.path().join("nowhere").exists());
        fs::remove_file(&spool).expect("it is a link");
    }
    // The remedy.
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 300_000).await;
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_048_nothing_is_moved_through_a_link_in_the_place_of_quarantine() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("quarantine-link", &sandbox, QUICK);
    let foreign = site.folder.path().join("foreign");
    let stray = site.data.join("spool/ef/0123456789abcdef");
    fs::create_dir_all(stray.parent().expect("it has one")).expect("it is ours");
    fs::create_dir(&foreign).expect("it is ours");
    fs::write(&stray, "no message names it").expect("it is ours");
    fs::write(foreign.join("ef-0123456789abcdef"), "precious").expect("it is ours");
    symlink(&foreign, site.data.join("quarantine")).expect("it is ours");
    let relay = site.start().await;
    let line = relay.event("queue_report").await;
    assert!(line.contains("0123456789abcdef") && line.contains("symbolic link"), "{line}");
    relay.stop().await;
    assert_eq!(fs::read(foreign.join("ef-0123456789abcdef")).expect("it is there"), b"precious");
    assert_eq!(files(&foreign).len(), 1);
    assert!(stray.exists());
    fs::remove_file(site.data.join("quarantine")).expect("it is a link");
    site.start().await.stop().await;
    assert!(!stray.exists() && site.data.join("quarantine/ef-0123456789abcdef").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_048_a_pipe_in_the_place_of_a_secret_is_not_waited_for() {
    let sandbox = provider(SandboxLimits::default()).await;
    let hook = "[notice]\nwebhook = { file = \"HOOK\" }\n";
    let site = Site::new("pipe", &sandbox, &format!("{QUICK}{hook}"));
    let webhook = site.folder.path().join("hook");
    let text = fs::read_to_string(&site.config).expect("it was written");
    site.folder.file("yizhan.toml", text.replace("HOOK", &webhook.display().to_string()));
    fs::remove_file(&site.code).expect("it is ours");
    for file in [&site.code, &webhook] {
        mknodat(CWD, file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe can be made");
    }
    for (arguments, code) in [(&["check"][..], 0), (&["doctor", "--no-login", "--listen", "127.0.0.1:0"], 1)] {
        let text = site.ask(arguments).await.with_code(code);
        assert!(text.contains("not a regular file"), "{text}");
    }
    // The relay starts, says so, and sends when there is a file.
    fs::remove_file(&webhook).expect("it is ours");
    site.folder.secret("hook", "https://127.0.0.1:1/token");
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 700).await;
    let why = |line: &str| line.contains("not a regular file").then(|| field_of(line, "event"));
    relay
        .line("that it is not a regular file", |line| why(line).filter(|event| event.as_deref() != Some("settings")))
        .await;
    fs::remove_file(&site.code).expect("it is ours");
    site.folder.secret("code", CODE);
    sandbox.wait_for(1).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

/// Others can read the code, and replace the queue: `check` and `doctor` say so, with the remedy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_a_mode_that_is_too_wide_is_warned_about() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("modes", &sandbox, QUICK);
    site.folder.dir("data", 0o777);
    site.folder.file("code", CODE);
    let (code, data) = (site.code.display(), site.data.display());
    let remedies = [format!("chmod 600 {code}"), format!("chmod 700 {data}")];
    for (arguments, status) in [(&["check"][..], 0), (&["doctor", "--no-login", "--listen", "127.0.0.1:0"], 1)] {
        let text = site.ask(arguments).await.with_code(status);
        assert!(remedies.iter().all(|remedy| text.contains(remedy)), "{text}");
        assert!(text.contains("0644") && text.contains("0777") && !text.contains(CODE), "{text}");
    }
    site.folder.dir("data", 0o700);
    site.folder.secret("code", CODE);
    for arguments in [&["check"][..], &["doctor", "--no-login", "--listen", "127.0.0.1:0"]] {
        let ran = site.ask(arguments).await;
        assert!(!ran.out.contains("chmod") && !ran.err.contains("chmod"), "{ran:?}");
    }
}
