//! The command line of the real program: what it says, and its exit codes.
//!
//! 0 all well, 1 it went wrong, 2 no such message or no such option, 78 the settings are wrong. A text is held by the
//! words that a person needs, not letter by letter; the settings' own errors are held in `commands/bad_config.rs`.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

use crate::support::load::{Courier, letter, token};
use crate::support::office::{CODE, Device, USER, provider};
use crate::support::peers::{program, require_root};
use crate::support::program::{Program, QUICK, Ran, Site, YIZHAN, clean, event_of, field_of, finish, yizhan};
use crate::support::skip::{Missing, need};

/// Fails unless the text has every one of these words.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

async fn ask(arguments: &[&str]) -> Ran {
    finish(yizhan(arguments)).await
}

/// A site whose provider does not answer, so that mail stays in the queue.
async fn idle_site(name: &str) -> (yizhan::sandbox::Sandbox, Site) {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.fault(Fault::forever(Stage::Connect, What::Close));
    let site = Site::new(name, &sandbox, QUICK);
    (sandbox, site)
}

/// Hands in a letter and gives its id.
async fn send(relay: &Program, subject: &str) -> String {
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    let reply = courier.send(&letter(subject, 500)).await.unwrap();
    reply.strip_prefix("250 2.0.0 queued as ").unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[tokio::test]
async fn help_of_every_command_names_things() {
    says(&ask(&["--help"]).await.with_code(0), &["run", "demo", "check", "queue", "YIZHAN_USER", "conf/yizhan.toml"]);
    for (command, words) in [
        (&["run"][..], &["--config", "--listen", "--allow", "--data-dir", "--sandbox", "YIZHAN_SECRET_FILE"][..]),
        (&["demo"], &["--keep", "--lang"]),
        (&["check"], &["--config", "--data-dir"]),
        (&["queue"], &["list", "show", "hold", "release", "retry", "drop", "export", "--json"]),
        (
            &["queue", "list"],
            &["--state", "--limit", "deferred", "--newest", "--client", "--since", "yizhan queue list"],
        ),
        (&["queue", "show"], &["ID"]),
        (&["queue", "hold"], &["ID", "--reason", "--expect", "--client", "yizhan queue hold"]),
        (&["queue", "release"], &["ID", "--expect"]),
        (&["queue", "retry"], &["ID", "--expect"]),
        (&["queue", "drop"], &["ID", "--expect", "yizhan queue export"]),
        (&["queue", "export"], &["ID", "mail.eml"]),
        (&["history"], &["--client", "--since", "--commands", "--cursor", "2026-11-30", "收发记录"]),
        (&["backup"], &["FILE", "secret", "备份"]),
    ] {
        let arguments = [command, &["--help"]].concat();
        let text = ask(&arguments).await.with_code(0);
        says(&text, words);
        assert!(!text.contains("password <"), "a secret is never an argument: {text}");
    }
    says(&ask(&["--version"]).await.with_code(0), &["yizhan ", env!("CARGO_PKG_VERSION")]);
}

#[tokio::test]
async fn what_is_not_understood_is_named_and_exits_with_2() {
    for (arguments, words) in [
        (&["run", "--lisen", "127.0.0.1:1"][..], &["--lisen", "--listen"][..]),
        (&["rum"], &["rum", "run"]),
        (&["run", "extra"], &["extra"]),
        (&["run", "--secret", "x"], &["--secret"]),
        (&["--lang", "fr", "demo"], &["fr", "en and zh"]),
        (&["queue"], &["list", "show"]),
        (&["queue", "retry"], &["ID"]),
        (&["queue", "list", "--limit", "many"], &["many"]),
        (&[], &["Usage", "run"]),
    ] {
        says(&ask(arguments).await.with_code(2), words);
    }
}

#[tokio::test]
async fn without_an_account_two_ways_are_taught() {
    let folder = crate::support::folder::Folder::new("none");
    let data = folder.path().join("data").display().to_string();
    let text = ask(&["run", "--data-dir", &data, "--listen", "127.0.0.1:0"]).await.with_code(78);
    says(&text, &["YIZHAN_USER", "[account.office]", "--sandbox", "yizhan demo"]);
}

#[tokio::test]
async fn all_mistakes_in_the_settings_come_at_once() {
    let folder = crate::support::folder::Folder::new("bad");
    let text =
        "hostnam = \"x\"\n[limits]\nrecipients = 0\n[log]\nformat = \"xml\"\n[account.office]\nprovider = \"qqq\"\n";
    let path = folder.file("yizhan.toml", text).display().to_string();
    for command in ["run", "check"] {
        let ran = ask(&[command, "--config", &path]).await;
        assert!(ran.out.is_empty(), "complaints go to standard error: {}", ran.out);
        says(&ran.with_code(78), &["hostnam", "hostname", "limits.recipients", "log.format", "qqq", "yizhan.toml"]);
    }
    says(&ask(&["queue", "list", "--config", &path]).await.with_code(78), &["hostnam"]);
    let missing = folder.path().join("nowhere.toml").display().to_string();
    says(&ask(&["run", "--config", &missing]).await.with_code(78), &["nowhere.toml"]);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_remedy() {
    let (_sandbox, site) = idle_site("port").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = site.ask(&["run", "--listen", &address]).await.with_code(1);
    says(&text, &[&address, "another program", "ss -ltnp", "--listen"]);
}

#[tokio::test]
async fn port_25_without_the_privilege_names_four_ways() {
    need!(require_root("becoming somebody else"));
    let (_sandbox, site) = idle_site("port25").await;
    // The folder that the program is built in may be closed to others.
    let copy = site.folder.path().join("yizhan");
    std::fs::copy(YIZHAN, &copy).unwrap();
    std::os::unix::fs::chown(site.folder.path(), Some(65534), Some(65534)).unwrap();
    // A network namespace of its own has the system's usual first free port (1024), whatever is set here.
    let mut command = Command::new(need!(program("unshare")));
    command.args(["--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
    command.args(["--inh-caps=-all", "--no-new-privs"]).arg(copy).args(["run", "--listen", "0.0.0.0:25", "--config"]);
    let ran = finish(clean(command, [&site.config])).await;
    if ran.err.contains("unshare failed") {
        return crate::support::skip::skip(Missing("the right to make a network namespace".to_owned()));
    }
    let text = ran.with_code(1);
    says(&text, &["0.0.0.0:25", "cap_net_bind_service", "AmbientCapabilities", "sysctl", "--listen 127.0.0.1:2525"]);
}

#[tokio::test]
async fn check_shows_what_is_in_force_and_where_it_comes_from() {
    let (_sandbox, site) = idle_site("check").await;
    let mut command = yizhan(["check", "--allow", "10.0.0.0/8", "--config"]);
    command.arg(&site.config).env("YIZHAN__LIMITS__RECIPIENTS", "77");
    let ran = finish(command).await;
    says(&ran.err, &["one account and no notice.webhook", "yizhan account list"]);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    let text = ran.with_code(0);
    says(&text, &["# may send messages: ", "the preset's)"]);
    says(&text, &["relay.test", "10.0.0.0/8", "--allow", "77", "YIZHAN__LIMITS__RECIPIENTS", "yizhan.toml", "default"]);
    assert!(!text.contains(CODE), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_seen_and_changed_while_the_relay_runs_and_while_it_is_stopped() {
    let (sandbox, site) = idle_site("queue").await;
    let relay = site.start().await;
    let ids = [send(&relay, "one").await, send(&relay, "two").await, send(&relay, "three").await];
    let mut exports = Vec::new();
    // The same commands twice: first the relay answers, then the files.
    let mut relay = Some(relay);
    for dropped in &ids[..2] {
        let text = site.ask(&["queue", "list"]).await.with_code(0);
        says(&text, &[dropped, &ids[2], "a@else.test", "device@lan.local"]);
        let text = site.ask(&["queue", "list", "--json"]).await.with_code(0);
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        let listed = list["messages"].as_array().unwrap();
        assert!(listed.iter().any(|one| one["id"] == dropped.as_str() && one["tries"].is_u64()), "{text}");
        says(&site.ask(&["queue", "show", &ids[2]]).await.with_code(0), &[&ids[2], "Subject: three", "a@else.test"]);
        let text = site.ask(&["queue", "show", &ids[2], "--json"]).await.with_code(0);
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["message"]["id"], ids[2].as_str(), "{text}");
        assert_eq!(shown["message"]["subject"], "three");
        assert!(shown["header"].as_str().unwrap().contains("Subject: three"), "{text}");
        assert!(site.ask(&["queue", "list", "--state", "failed"]).await.with_code(0).contains("No message"));
        says(&site.ask(&["queue", "list", "--state", "lost"]).await.with_code(2), &["lost", "deferred"]);
        let exported = site.ask(&["queue", "export", &ids[2]]).await.with_code(0);
        assert!(exported.contains(USER) && exported.contains("Subject: three\r\n"), "{exported}");
        exports.push(exported);
        let text = site.ask(&["history", "--subject", "three", "--since", "1h"]).await.with_code(0);
        says(&text, &[&ids[2], "\"three\"", "1 match"]);
        says(
            &site.ask(&["queue", "drop", "--subject", "three"]).await.with_code(2),
            &["1 message matches", "--expect 1"],
        );
        let many = site.ask(&["queue", "retry", "--subject", "three", "--expect", "1"]).await;
        assert!(many.code == 0 && many.out == "1 message is due now\n" || many.err.contains("being sent"), "{many:?}");
        says(&site.ask(&["queue", "retry", &ids[2]]).await.with_code(0), &[&ids[2], "due now"]);
        drop_it(&site, dropped).await;
        if let Some(relay) = relay.take() {
            relay.stop().await;
        }
    }
    sandbox.clear_faults();
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    let received = sandbox.received();
    assert_eq!(received.len(), 1, "what was dropped is never sent");
    assert_eq!(token(&received[0].data).as_deref(), Ok("three"));
    // What was exported is what left, octet for octet.
    let sent = String::from_utf8(received[0].data.to_vec()).unwrap();
    assert!(exports == [sent.as_str(), sent.as_str()], "{exports:?}\n{sent:?}");
    let gone = site.ask(&["queue", "export", &ids[2]]).await.with_code(2);
    says(&gone, &["content", "deleted", "recipient"]);
}

/// Drops a message; a message that is being tried this moment is busy, and asked for again.
async fn drop_it(site: &Site, id: &str) {
    crate::support::office::until("the message to be dropped", async || {
        let ran = site.ask(&["queue", "drop", id]).await;
        if ran.code == 0 {
            says(&ran.out, &[id, "dropped"]);
            return Some(());
        }
        assert_eq!(ran.code, 1, "{ran:?}");
        None
    })
    .await;
    assert!(!site.ask(&["queue", "list"]).await.with_code(0).contains(id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_048_an_odd_id_is_no_message_and_no_path() {
    let (_sandbox, site) = idle_site("odd").await;
    // First the relay answers, then the files.
    let relay = site.start().await;
    let id = send(&relay, "one").await;
    odd_ids(&site).await;
    relay.stop().await;
    odd_ids(&site).await;
    says(&site.ask(&["queue", "list"]).await.with_code(0), &[&id]);
}

async fn odd_ids(site: &Site) {
    let long = "a".repeat(10_000);
    for command in ["show", "retry", "drop", "export"] {
        says(&site.ask(&["queue", command, "0123456789abcdef"]).await.with_code(2), &["no message"]);
        for id in [
            "../../etc/passwd",
            "..",
            "%2e%2e%2f",
            "/etc/passwd",
            "queue.db",
            "\u{1b}[2J",
            "",
            "0123456789ABCDEF",
            &long,
        ] {
            let ran = site.ask(&["queue", command, id]).await;
            assert!(ran.err.contains("queue list") && ran.err.len() < 400, "{command} {id:?}: {}", ran.err);
            assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
            ran.with_code(2);
        }
    }
    let ran = site.ask(&["queue", "show", "../../etc/passwd", "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["error"]["code"], "bad_id", "{ran:?}");
    ran.with_code(2);
}

#[tokio::test]
async fn asking_about_a_queue_does_not_make_one() {
    let (_sandbox, site) = idle_site("noqueue").await;
    let text = site.ask(&["queue", "list"]).await.with_code(1);
    says(&text, &["no queue", &site.data.display().to_string(), "--data-dir"]);
    assert!(!site.data.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_087_a_second_relay_on_the_same_folder_is_refused() {
    let (_sandbox, site) = idle_site("second").await;
    let relay = site.start().await;
    let text = finish(site.run_command()).await.with_code(1);
    says(&text, &[&relay.pid().to_string(), "data_dir", &site.data.display().to_string()]);
    send(&relay, "still").await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_091_a_signal_stops_it_in_order() {
    let (_sandbox, site) = idle_site("signal").await;
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let relay = site.start().await;
        let mut idle = Courier::connect(relay.door()).await.unwrap();
        let begin = Instant::now();
        relay.signal(signal);
        relay.event("draining").await;
        // Whoever has nothing under way is told, and does not hold it up.
        while let Ok(said) = idle.ask("NOOP").await {
            if said.starts_with("421 4.3.2") {
                break;
            }
            assert!(said.starts_with("250"), "{said}");
        }
        let (status, lines) = relay.end().await;
        assert_eq!(status.code(), Some(0), "{lines:?}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        let events: Vec<_> = lines.iter().filter_map(|line| event_of(line)).collect();
        let order = ["listening", "started", "stopping", "draining", "stopped"];
        let found: Vec<_> = events.iter().filter(|event| order.contains(&event.as_str())).collect();
        assert_eq!(found, order);
        assert_eq!(field_of(&lines[lines.len() - 1], "finished").as_deref(), Some("true"), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains(name)), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_logs_parse_and_follow_a_message_by_its_id() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("json", &sandbox, &format!("{QUICK}level = \"trace\"\n"));
    let temporary = What::Reply(b"451 4.3.0 later\x1b[2J\r\n".to_vec());
    sandbox.fault(Fault::once(Stage::FinalDot, temporary));
    let relay = site.start().await;
    let id = send(&relay, "json").await;
    relay.event("delivered").await;
    let lines = relay.stop().await;
    let mut story = Vec::new();
    for line in &lines {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["time", "level", "event"] {
            assert!(value[key].is_string(), "no {key}: {line}");
        }
        let event = value["event"].as_str().unwrap_or_default();
        if value["id"] == id.as_str() {
            story.push(event.to_owned());
        }
        let of_a_message =
            ["accepted", "repaired", "attempted", "deferred", "delivered", "uncertain", "waiting", "failed"];
        assert!(!of_a_message.contains(&event) || value["id"].is_string(), "no id: {line}");
    }
    story.retain(|event| event != "attempted");
    assert_eq!(story, ["accepted", "repaired", "deferred", "delivered"], "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_042_a_046_a_line_of_the_text_log_is_one_fact_whatever_peers_say() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("text", &sandbox, &QUICK.replace("\"json\"", "\"text\""));
    sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(b"451 4.3.0 a\x1b[2J\x07\rb\x9b\r\n".to_vec())));
    let relay = site.start().await;
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    courier.ask("EHLO x\u{1b}[2J\u{85}y").await.unwrap();
    courier.send(&letter("text", 300)).await.unwrap();
    relay.event("delivered").await;
    for line in relay.stop().await {
        let mut words = line.split_ascii_whitespace();
        let (time, level) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        assert!(time.len() == "2026-11-21T18:00:00.123+08:00".len() && time.as_bytes()[10] == b'T', "{line}");
        assert!(["ERROR", "WARN", "INFO"].contains(&level), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demonstration_shows_every_mail_in_two_languages() {
    for (lang, words) in [
        ("en", ["as it came", "as the provider received it", "the device was told"]),
        ("zh", ["收到时", "服务商收到时", "设备得到的回答"]),
    ] {
        let begin = Instant::now();
        let ran = ask(&["demo", "--lang", lang]).await;
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
        assert!(ran.err.is_empty(), "{}", ran.err);
        let text = ran.with_code(0);
        says(&text, &words);
        let mails = text.lines().filter(|line| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok()));
        let mails = mails.count();
        assert!(mails >= 4, "{mails} mails:\n{text}");
        assert!(text.matches(words[0]).count() >= mails && text.matches(words[2]).count() >= mails, "{text}");
        assert!(!text.contains('\u{1b}'), "no colour where nobody looks");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_sandbox_needs_nothing_and_delivers() {
    let folder = crate::support::folder::Folder::new("try");
    let data = folder.path().join("data").display().to_string();
    let relay = Program::start(yizhan(["run", "--sandbox", "--data-dir", &data, "--listen", "127.0.0.1:0"])).await;
    let id = send(&relay, "trial").await;
    let line = relay.event("delivered").await;
    assert_eq!(field_of(&line, "id"), Some(id));
    relay.stop().await;
}

/// systemd names the journal's device and inode; standard error of the program is that pipe, or another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_for_the_journal_begin_with_their_priority_and_tell_the_whole_delivery() {
    let sandbox = provider(SandboxLimits::default()).await;
    for (journal, named) in [("$(stat -L -c %d:%i /proc/self/fd/2)", true), ("1:2", false)] {
        let site = Site::new("journal", &sandbox, QUICK);
        let script = format!("JOURNAL_STREAM=\"{journal}\" exec \"$0\" \"$@\"");
        let mut arguments = vec!["-c".to_owned(), script, YIZHAN.to_owned()];
        arguments.extend(site.run_arguments());
        let relay = Program::start(clean(std::process::Command::new("/bin/sh"), arguments)).await;
        let mut device = Device::connect(relay.door()).await;
        device.send("a@b.c", &["d@else.test"], b"Subject: x\r\n\r\nbody\r\n").await;
        site.drained(&sandbox).await;
        let log = relay.stop().await;
        assert!(log.iter().all(|line| line.starts_with('<') == named), "{log:?}");
        let line = log.iter().find(|line| event_of(line).as_deref() == Some("delivered")).expect("it was delivered");
        assert!(!named || line.starts_with("<6>"), "{line}");
        let fields = ["client", "from", "to"].map(|name| field_of(line, name).expect("a field"));
        assert_eq!(fields, ["127.0.0.1", "a@b.c", "d@else.test"]);
        let delay: f64 = field_of(line, "delay").expect("a field").parse().expect("seconds");
        assert!((0.0..60.0).contains(&delay), "{line}");
    }
}
