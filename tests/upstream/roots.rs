//! The roots that an account trusts: read off the runtime, and again when their files change.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::support::account::{deliver, line_trouble, send, settings, upstream};
use crate::support::ca::TestCa;
use crate::support::folder::Folder;
use crate::support::load::Courier;
use crate::support::office::{CODE, Office, PATIENCE, provider};
use crate::support::pair::add_account;
use crate::support::program::{Program, QUICK, Site, field_of};
use tokio::time::timeout;
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};
use yizhan::upstream::UpstreamSettings;

const MAIL: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

/// A provider, an account there, and its `ca` file.
async fn scene() -> (Sandbox, UpstreamSettings, PathBuf, Folder) {
    let (sandbox, folder) = (provider(SandboxLimits::default()).await, Folder::new("roots"));
    let settings = settings(&sandbox, &folder);
    let ca = settings.ca.clone().expect("the sandbox is not known to the machine");
    (sandbox, settings, ca, folder)
}

#[tokio::test]
async fn a_renewed_ca_file_is_used_for_the_next_connection() {
    let (sandbox, settings, ca, _folder) = scene().await;
    fs::write(&ca, TestCa::new().pem()).expect("it is ours");
    let way = upstream(settings);
    let report = send(&way).await;
    assert!(line_trouble(&report).contains("certificate"), "{report:?}");
    fs::write(&ca, sandbox.ca_pem()).expect("it is ours");
    deliver(&way).await;
    // Trust ends with the file that gave it, even if the new one has the same size and time.
    way.close_idle().await;
    let other = TestCa::new().pem();
    let time = fs::metadata(&ca).and_then(|data| data.modified()).expect("it is there");
    fs::write(&ca, format!("{other}{}", " ".repeat(sandbox.ca_pem().len().saturating_sub(other.len())))).expect("ours");
    fs::File::options().write(true).open(&ca).and_then(|file| file.set_modified(time)).expect("it is ours");
    let report = send(&way).await;
    assert!(line_trouble(&report).contains("certificate"), "{report:?}");
    assert_eq!((sandbox.stats().logins_ok, sandbox.stats().logins_refused), (1, 0));
}

#[tokio::test]
async fn a_changed_ca_file_that_cannot_be_used_leaves_the_roots_as_they_are() {
    let (sandbox, settings, ca, _folder) = scene().await;
    let way = upstream(settings);
    deliver(&way).await;
    fs::write(&ca, "no certificate\n").expect("it is ours");
    way.close_idle().await;
    deliver(&way).await;
    fs::remove_file(&ca).expect("it is ours");
    way.close_idle().await;
    deliver(&way).await;
    assert_eq!(sandbox.stats().logins_ok, 3);
}

/// A pipe in place of a slow disk. One runtime thread serves everything here, the provider too.
#[tokio::test]
async fn the_runtime_goes_on_while_the_roots_are_read() {
    let (sandbox, mut settings, _, folder) = scene().await;
    let pipe = folder.path().join("pipe.pem");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    settings.ca = Some(pipe.clone());
    let (opened, opens) = tokio::sync::oneshot::channel();
    let (alive, answers) = std::sync::mpsc::channel();
    let writer = std::thread::spawn({
        let pem = sandbox.ca_pem().to_owned();
        move || {
            // Opens when the reader does.
            let mut pipe = fs::File::options().write(true).open(pipe).expect("it is ours");
            let _ = opened.send(());
            // Long enough for a runtime that is not blocked, shorter than what the reader waits.
            let went_on = answers.recv_timeout(Duration::from_secs(3)).is_ok();
            std::io::Write::write_all(&mut pipe, pem.as_bytes()).expect("it is read");
            went_on
        }
    });
    let way = upstream(settings);
    let answer = async {
        opens.await.expect("the roots are read");
        alive.send(()).expect("the writer waits");
    };
    tokio::join!(deliver(&way), answer);
    assert!(writer.join().expect("no panic"), "the runtime stood still while the roots were read");
}

/// Makes the relay dial again, for one more message.
async fn once_more(relay: &Program, site: &Site, sandbox: &Sandbox) {
    sandbox.fault(Fault::once(Stage::Idle, What::Close));
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.open == 0)).await.expect("its connection is cut");
    let mut courier = Courier::connect(relay.door()).await.expect("it listens");
    assert!(courier.send(MAIL).await.expect("it answers").starts_with("250 "));
    site.drained(sandbox).await;
}

#[tokio::test]
async fn a_ca_file_that_became_bad_is_logged_once_with_the_remedy() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("bad-ca", &sandbox, QUICK);
    let ca = site.folder.path().join("ca.pem");
    let relay = site.start().await;
    let mut courier = Courier::connect(relay.door()).await.expect("it listens");
    assert!(courier.send(MAIL).await.expect("it answers").starts_with("250 "));
    site.drained(&sandbox).await;
    fs::write(&ca, "no certificate\n").expect("it is ours");
    once_more(&relay, &site, &sandbox).await;
    once_more(&relay, &site, &sandbox).await;
    let [line] = &relay.told("roots_kept")[..] else { panic!("{:?}", relay.lines()) };
    assert!(line.contains("ca.pem") && line.contains("no certificate") && line.contains("stay in use"), "{line}");
    assert_eq!(field_of(line, "level").as_deref(), Some("error"), "{line}");
    // Mended, it is read again, and another fault would be logged again.
    fs::write(&ca, sandbox.ca_pem()).expect("it is ours");
    once_more(&relay, &site, &sandbox).await;
    fs::remove_file(&ca).expect("it is ours");
    once_more(&relay, &site, &sandbox).await;
    assert_eq!((relay.told("roots_kept").len(), relay.told("roots_renewed").len()), (2, 1), "{:?}", relay.lines());
    relay.stop().await;
}

#[tokio::test]
async fn the_machines_roots_are_read_again_when_they_change() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("machine", &sandbox, QUICK);
    let text = fs::read_to_string(&site.config).expect("it is ours");
    let ours: Vec<_> = text.lines().filter(|line| !line.starts_with("ca = ")).collect();
    fs::write(&site.config, ours.join("\n")).expect("it is ours");
    let bundle = site.folder.file("bundle.pem", TestCa::new().pem());
    let mut command = site.run_command();
    command.env("SSL_CERT_FILE", &bundle);
    let relay = Program::start(command).await;
    let mut courier = Courier::connect(relay.door()).await.expect("it listens");
    assert!(courier.send(MAIL).await.expect("it answers").starts_with("250 "));
    assert!(relay.event("deferred").await.contains("certificate"));
    // As a package of certificates is renewed: a new file in the place of the old one.
    let new = site.folder.file("new.pem", sandbox.ca_pem());
    fs::rename(new, &bundle).expect("it is ours");
    site.drained(&sandbox).await;
    assert_eq!((sandbox.stats().accepted, relay.told("roots_renewed").len()), (1, 1), "{:?}", relay.lines());
    relay.stop().await;
}

#[tokio::test]
async fn the_accounts_of_a_relay_share_what_they_trust() {
    let office = Office::with("shared", SandboxLimits::default(), |settings| {
        add_account(settings, "same", "20000@qq.com", CODE);
        add_account(settings, "machine", "30000@qq.com", CODE).ca = None;
    })
    .await;
    let mut stores = Vec::new();
    for account in office.relay.accounts() {
        let settings = account.upstream.settings();
        stores.push(settings.roots.current(settings.ca.as_deref()).await.expect("they can be read"));
    }
    let [office, same, machine] = &stores[..] else { panic!("three accounts") };
    assert!(Arc::ptr_eq(office, same));
    assert_eq!(office.len(), machine.len() + 1, "the authority of the `ca` file is trusted by its accounts only");
}
