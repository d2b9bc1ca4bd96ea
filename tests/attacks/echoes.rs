//! a provider or a webhook sends back what the relay logged in with. No form of it goes any further: not into the
//! log, the database, the output of a command, or another program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use yizhan::sandbox::SandboxLimits;

use super::secrets::{RIGHT, WRONG, search, search_files};
use crate::support::hook::{Answer, Hook};
use crate::support::load::{Courier, letter};
use crate::support::office::{USER, provider};
use crate::support::program::{Program, Site};
use crate::support::scripted::{Say, Scripted};

fn hex(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}

/// All forms in which a server may repeat a log-in.
fn echo(code: &str) -> String {
    let plain = STANDARD.encode(format!("\0{USER}\0{code}"));
    let forms = [
        code.to_owned(),
        code.to_uppercase(),
        hex(code),
        hex(code).to_uppercase(),
        hex(&format!("\0{USER}\0{code}")),
        percent(code),
        percent(&plain),
        STANDARD.encode(code),
        format!("AUTH PLAIN {plain}"),
    ];
    forms.join(" ")
}

/// Settings whose account sends to `server`.
async fn site(name: &str, server: &Scripted, more: &str) -> Site {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, more);
    let port = |port: u16| format!("\nport = {port}\n");
    let text = std::fs::read_to_string(&site.config).unwrap();
    let here = text.replace(&port(sandbox.implicit_addr().unwrap().port()), &port(server.addr().port()));
    assert_ne!(text, here);
    site.folder.file("yizhan.toml", here);
    site.folder.file("ca.pem", std::fs::read(server.ca()).unwrap());
    site.folder.file("code", RIGHT);
    site
}

/// Hands in a mail; gives its id.
async fn hand_in(relay: &Program) -> String {
    let mut device = Courier::connect(relay.door()).await.unwrap();
    device.send(&letter("echo", 2000)).await.unwrap().rsplit(' ').next().unwrap().to_owned()
}

/// Everything that an operator may ask, and every file. `code`: the one in use, in a reply that the operator asks about.
async fn search_outputs(site: &Site, id: &str, code: &str) {
    let reply = format!("550 5.7.1 refused: {}", echo(code));
    for arguments in [
        &["queue", "list"][..],
        &["queue", "list", "--state", "failed", "--state", "delivered", "--json"],
        &["queue", "show", id],
        &["queue", "show", id, "--json"],
        &["account", "list"],
        &["account", "list", "--json"],
        &["explain", &reply],
        &["explain", "--json", &reply],
        &["check"],
    ] {
        let ran = site.ask(arguments).await;
        assert!([0, 1].contains(&ran.code) && !ran.out.is_empty(), "{arguments:?}: {}", ran.err);
        search(&arguments.join(" "), [ran.out, ran.err].concat().as_bytes());
    }
    search_files(site);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_a_provider_that_repeats_the_code_is_quoted_without_it() {
    for format in ["text", "json"] {
        let server = Scripted::implicit(|line, before| {
            let after_data = before.last().is_some_and(|last| last.starts_with("DATA"));
            match line.split(':').next() {
                Some("") => Say::line(&format!("220 {}", echo(RIGHT).replace(' ', "-"))),
                Some("RCPT TO") => Say::line(&format!("550-5.1.1 no such user\r\n550 5.1.1 {}", echo(RIGHT))),
                _ if after_data => Say::line(&format!("250 Ok {}", echo(RIGHT))),
                _ => Say::Usual,
            }
        })
        .await;
        let log = format!("[log]\nformat = \"{format}\"\nlevel = \"trace\"\n");
        let site = site("echo-rcpt", &server, &log).await;
        let relay = site.start().await;
        let id = hand_in(&relay).await;
        let failed = relay.event("failed").await;
        assert!(failed.contains("no such user") && failed.contains("[secret]"), "{failed}");
        let shown = site.ask(&["queue", "show", &id]).await.with_code(0);
        assert!(shown.contains("no such user") && shown.contains("[secret]"), "{shown}");
        search_outputs(&site, &id, RIGHT).await;
        let doctor = site.ask(&["doctor"]).await;
        search("doctor", [doctor.out, doctor.err].concat().as_bytes());
        let lines = relay.stop().await;
        search("the log", lines.join("\n").as_bytes());
        search_outputs(&site, &id, RIGHT).await;
        // The notice to the owner went out by the same server.
        search("what the provider got", without_log_in(&server).as_bytes());
    }
}

/// What the server was told beside the log-in.
fn without_log_in(server: &Scripted) -> String {
    let heard = server.heard().concat();
    heard.into_iter().filter(|line| !line.starts_with("AUTH ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_a_refused_code_and_the_renewed_one_are_in_no_alarm_and_no_state() {
    let hook = Hook::start(vec![Answer::status(200, "{}")], None).await;
    let renewed = Arc::new(AtomicBool::new(false));
    let now = renewed.clone();
    let server = Scripted::implicit(move |line, _| match line.split(' ').next() {
        Some("AUTH") => {
            let code = if now.load(Ordering::SeqCst) { WRONG } else { RIGHT };
            // A cause that needs a person, so that the alarm goes out at once.
            Say::line(&format!("454 Authentication failed, please open smtp flag first! {}", echo(code)))
        }
        _ => Say::Usual,
    })
    .await;
    let more = format!(
        "[notice]\nwebhook = \"{}\"\nformat = \"json\"\n[log]\nformat = \"json\"\nlevel = \"trace\"\n",
        hook.url("127.0.0.1", "/hook")
    );
    let site = site("echo-auth", &server, &more).await;
    let relay = site.start().await;
    let rests = |relay: &Program| relay.told("account_cooling").len() + relay.told("account_paused").len();
    let id = hand_in(&relay).await;
    relay.line("a refused code", |_| (rests(&relay) >= 1).then_some(())).await;
    relay.event("alert_sent").await;
    search_outputs(&site, &id, RIGHT).await;
    // A new code, in the same file: the account tries it, and is refused again.
    renewed.store(true, Ordering::SeqCst);
    site.folder.file("code", WRONG);
    relay.signal(Signal::HUP);
    relay.line("a refused new code", |_| (rests(&relay) >= 2).then_some(())).await;
    search_outputs(&site, &id, WRONG).await;
    let lines = relay.stop().await.join("\n");
    assert!(lines.contains("flag first! [secret]"), "{lines}");
    search("the log", lines.as_bytes());
    search_outputs(&site, &id, WRONG).await;
    let told = hook.seen();
    assert!(!told.is_empty());
    for one in told {
        search("the webhook", &one.body);
        assert!(String::from_utf8_lossy(&one.body).contains("[secret]"));
    }
}
