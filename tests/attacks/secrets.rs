//! Promise 3 by the real program: the authorization code, and what a device logs in with, appear nowhere, at any
//! level of the log, in either format, whether the code is right or wrong; neither does their base64.
//!
//! What is searched: Debug output and panics, all output of `run`, `check` and `queue`, and every file in the data folder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use yizhan::config::{FileSource, Overrides, Sources, load};
use yizhan::sandbox::SandboxLimits;
use yizhan::secret::Secret;
use yizhan::smtp::sasl::Credentials;
use yizhan::smtp::{Reply, server};

use crate::support::load::{Courier, letter};
use crate::support::office::{USER, provider};
use crate::support::program::{Program, Site, files};

/// Codes that occur nowhere by chance.
pub(crate) const RIGHT: &str = "qzjxkwvbpfygmuhd";
pub(crate) const WRONG: &str = "vwxkzqjjgypbhmfu";
const DEVICE: &str = "Pr1nter-Passw0rd-zq";

/// The forms in which a secret may leak: itself, and its base64 at each of the three alignments, less the octets at
/// both ends that depend on what stands beside it; hexadecimal, and percent-encoding.
fn forms(secret: &str) -> Vec<String> {
    let coded = |by: fn(u8) -> String| secret.bytes().map(by).collect::<String>();
    let hex = coded(|octet| format!("{octet:02x}"));
    let percent = coded(|octet| format!("%{octet:02X}"));
    let mut forms = vec![secret.to_owned(), secret.to_uppercase(), hex.to_uppercase(), hex, percent];
    for lead in 0..3 {
        let text = STANDARD.encode(["x".repeat(lead), secret.to_owned()].concat());
        let text = text.trim_end_matches('=');
        forms.push(text[if lead == 0 { 0 } else { 4 }..text.len() - 2].to_owned());
    }
    forms
}

pub(crate) fn search(what: &str, octets: &[u8]) {
    for secret in [RIGHT, WRONG, DEVICE] {
        for form in forms(secret) {
            let found = octets.windows(form.len()).position(|window| window == form.as_bytes());
            let around = found.map(|at| String::from_utf8_lossy(&octets[at.saturating_sub(80)..at + form.len()]));
            assert!(found.is_none(), "{what} has {form:?} of {secret:?}: {around:?}");
        }
    }
}

/// Searches the data folder. While the relay runs, and after a kill, the log of the database is part of it.
pub(crate) fn search_files(site: &Site) {
    for file in files(&site.data).into_iter().filter(|file| !file.ends_with("control.sock")) {
        search(&file.display().to_string(), &std::fs::read(&file).unwrap_or_default());
    }
}

#[test]
fn the_search_finds_base64_at_every_alignment() {
    for text in ["", "\0a\0", "\0ab\0", "\0abc\0"] {
        let leak = STANDARD.encode([text, RIGHT].concat());
        assert!(forms(RIGHT).iter().any(|form| leak.contains(form.as_str())), "{leak}");
    }
}

/// A device that logs in, twice, and sends a mail; then a log-in that is broken off.
async fn use_it(relay: &Program) -> String {
    let mut device = Courier::connect(relay.door()).await.unwrap();
    let plain = STANDARD.encode(format!("\0printer\0{DEVICE}"));
    assert!(device.ask(&format!("AUTH PLAIN {plain}")).await.unwrap().starts_with("235"));
    let reply = device.send(&letter("secret", 2000)).await.unwrap();
    let mut device = Courier::connect(relay.door()).await.unwrap();
    assert!(device.ask("AUTH LOGIN").await.unwrap().starts_with("334"));
    assert!(device.ask(&STANDARD.encode("printer")).await.unwrap().starts_with("334"));
    assert!(device.ask(&STANDARD.encode(DEVICE)).await.unwrap().starts_with("235"));
    // Not a command: some devices do it in this order, and the answer must not repeat it.
    let odd = device.ask(&STANDARD.encode(DEVICE)).await.unwrap();
    search("the reply to an odd command", odd.as_bytes());
    reply.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_no_secret_is_in_any_output_or_file() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.set_secret(USER, Secret::new(RIGHT));
    for (format, level) in [("text", "trace"), ("json", "trace"), ("text", "debug"), ("json", "info")] {
        let more = format!("[log]\nformat = \"{format}\"\nlevel = \"{level}\"\n");
        let site = Site::new("secrets", &sandbox, &more);
        let text = std::fs::read_to_string(&site.config).unwrap();
        let text = text.replace("[account.office]", "auth = \"accept-any\"\n[account.office]");
        site.folder.file("yizhan.toml", text);
        for (code, event) in [(WRONG, "account_cooling"), (RIGHT, "delivered")] {
            site.folder.file("code", code);
            let relay = site.start().await;
            let id = use_it(&relay).await;
            relay.event(event).await;
            for arguments in [
                &["queue", "list"][..],
                &["queue", "show", &id],
                &["queue", "show", &id, "--json"],
                &["queue", "list", "--json"],
                &["check"],
            ] {
                let ran = site.ask(arguments).await;
                search(&arguments.join(" "), ran.with_code(0).as_bytes());
            }
            search_files(&site);
            let lines = if code == WRONG { relay.kill().await } else { relay.stop().await };
            search(&format!("the log in {format} at {level}"), lines.join("\n").as_bytes());
            search_files(&site);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_a_code_written_into_the_settings_is_in_no_complaint() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("inline", &sandbox, "");
    let good = std::fs::read_to_string(&site.config).unwrap();
    let inline = good.replace(&format!("{{ file = \"{}\" }}", site.code.display()), &format!("\"{RIGHT}\""));
    assert_ne!(good, inline);
    site.folder.file("yizhan.toml", &inline);
    let text = site.ask(&["check"]).await.with_code(0);
    assert!(text.contains("[secret]") && text.contains("warning"), "{text}");
    search("check", text.as_bytes());
    for broken in [inline.replace(&format!("\"{RIGHT}\""), RIGHT), inline.replace("secret =", "secert =")] {
        site.folder.file("yizhan.toml", &broken);
        for command in ["check", "run"] {
            search(command, site.ask(&[command]).await.with_code(78).as_bytes());
        }
    }
}

/// A guess that occurs nowhere by chance.
const GUESS: &str = "zvQx-guessed-Kjw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_the_password_of_a_user_is_in_no_output_or_file() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.set_secret(USER, Secret::new(RIGHT));
    let salt = [5; yizhan::secret::password::SALT];
    let hash = yizhan::secret::password::hash(&Secret::new(DEVICE), &salt);
    for (password, format) in [(format!("\"{DEVICE}\""), "text"), (format!("\"{hash}\""), "json")] {
        let site = Site::new("user", &sandbox, &format!("[log]\nformat = \"{format}\"\nlevel = \"trace\"\n"));
        let text = std::fs::read_to_string(&site.config).unwrap();
        let user = format!("auth = \"verify\"\n[user.printer]\npassword = {password}\n[account.office]");
        site.folder.file("yizhan.toml", text.replace("[account.office]", &user));
        site.folder.file("code", RIGHT);
        let relay = site.start().await;
        let id = use_it(&relay).await;
        // A wrong password, and the right one where the name should be.
        for blob in [format!("\0printer\0{GUESS}"), format!("\0{DEVICE}\0printer")] {
            let mut device = Courier::connect(relay.door()).await.unwrap();
            let reply = device.ask(&format!("AUTH PLAIN {}", STANDARD.encode(blob))).await.unwrap();
            assert!(reply.starts_with("535 5.7.8"), "{reply}");
        }
        relay.event("delivered").await;
        assert_eq!((relay.told("logged_in").len(), relay.told("login_failed").len()), (2, 2));
        for arguments in [&["queue", "show", &id][..], &["queue", "list", "--json"], &["check"]] {
            let text = site.ask(arguments).await.with_code(0);
            search(&arguments.join(" "), text.as_bytes());
            assert!(!text.contains("$argon2"), "{text}");
        }
        let lines = relay.stop().await.join("\n");
        search("the log", lines.as_bytes());
        for form in forms(GUESS).iter().chain([&hash]) {
            assert!(!lines.contains(form.as_str()), "{form}");
        }
        search_files(&site);
    }
}

/// Whatever is printed of a session in the middle of a log-in, of its events, of a log-in that ends in a panic, of users
/// and of settings.
#[test]
fn a_044_debug_output_and_panics_show_no_password() {
    let plain = STANDARD.encode(format!("\0printer\0{DEVICE}"));
    let (user, password) = (STANDARD.encode("printer"), STANDARD.encode(DEVICE));
    let dialogues: [&[&str]; 4] = [
        &[&format!("AUTH PLAIN {plain}"), &plain],
        &["AUTH PLAIN", &plain],
        &["AUTH LOGIN", &user, &password, &password],
        &["AUTH LOGIN", &password, &user],
    ];
    let mut seen = 0;
    for dialogue in dialogues {
        let settings =
            server::SessionSettings { auth: server::AuthMode::Verify, ..server::SessionSettings::relay("relay.test") };
        let (mut session, mut input) = (server::Session::new(settings.into()), BytesMut::new());
        for line in dialogue {
            input.extend_from_slice(format!("{line}\r\n").as_bytes());
            let event = session.step(&mut input);
            // Who logs in with a password for a name has said it; that is not ours to hide in an event, only in a log.
            if *dialogue != ["AUTH LOGIN", &password, &user] {
                search("a session", format!("{event:?} {session:?} {:?}", session.notes()).as_bytes());
            }
            if let server::SessionEvent::Auth { user, password, .. } = event {
                seen += 1;
                let found =
                    Credentials { user: "printer".to_owned(), password: password.clone(), misplaced: user.is_empty() };
                let panic = std::panic::catch_unwind(|| panic!("not expected: {found:?}")).unwrap_err();
                search("a panic", panic.downcast_ref::<String>().expect("it has a text").as_bytes());
                search("a secret", format!("{password:?} {:?}", Some(&password)).as_bytes());
                session.answer(Reply::new(235, "2.7.0 OK"));
            }
        }
    }
    assert_eq!(seen, 4);
    search("a user", format!("{:?}", crate::support::entrance::user("printer", DEVICE)).as_bytes());
    let text = format!(
        "[listener.lan]\nauth = \"verify\"\n[user.printer]\npassword = \"{DEVICE}\"\n[account.office]\n\
         provider = \"qq\"\nuser = \"{USER}\"\nsecret = \"{RIGHT}\"\n"
    );
    let sources = Sources {
        file: FileSource::Text { name: "test.toml".into(), text },
        env: Default::default(),
        overrides: Overrides { data_dir: Some("/nonexistent".into()), ..Overrides::default() },
        machine: "relay.test".to_owned(),
        can_ask: false,
    };
    let settings = load(sources).unwrap_or_else(|problems| panic!("{problems}")).settings;
    search("settings", format!("{settings:?}").as_bytes());
}
