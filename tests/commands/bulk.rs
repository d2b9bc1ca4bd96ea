//! `yizhan queue hold`, `release`, `retry`, `drop` and `export`, and `yizhan backup`: one message and many, what is skipped,
//! what is refused, and the audit log.

use std::sync::atomic::Ordering;

use serde_json::Value;
use yizhan::queue::MessageState;

use super::desk::Desk;
use crate::support::peers::program;
use crate::support::program::{Ran, YIZHAN, clean, finish};
use crate::support::skip::need;

/// Fails unless the text has every one of these words.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

async fn ask(desk: &Desk, arguments: &[&str]) -> Ran {
    finish(desk.command(arguments)).await
}

async fn json(desk: &Desk, arguments: &[&str], code: i32) -> Value {
    let ran = ask(desk, &[arguments, &["--json"]].concat()).await;
    let text = ran.out.clone();
    assert_eq!(text.lines().count(), 1, "{ran:?}");
    ran.with_code(code);
    serde_json::from_str(&text).expect("JSON")
}

/// The last audit row: command, target, result.
fn last(desk: &Desk) -> (String, String, String) {
    let last = desk.queue.records.lock().unwrap().last().cloned().expect("a command was recorded");
    assert!(last.who.starts_with("uid ") && last.from == "socket", "{last:?}");
    (last.command, last.target, last.result)
}

#[tokio::test]
async fn a_message_is_held_released_retried_and_dropped() {
    let desk = Desk::open("one").await;
    let id = desk.put("scanner", &["boss@example.com"], "scan", b"x\r\n").await;
    let text = id.to_string();
    says(&ask(&desk, &["queue", "hold", &text, "--reason", "ask Anna"]).await.with_code(0), &[&text, "is held"]);
    assert_eq!(desk.state(id).await, MessageState::Held);
    assert_eq!(last(&desk), ("hold".into(), format!("{text} reason=\"ask Anna\""), "changed 1".into()));
    let shown = ask(&desk, &["queue", "show", &text]).await.with_code(0);
    says(&shown, &["held=operator", "held by an operator: ask Anna", "queue release", "subject: scan"]);
    says(&ask(&desk, &["queue", "show", &text, "--lang", "zh"]).await.with_code(0), &["被操作员扣留：ask Anna"]);
    // A retry does not end a hold, and says what does.
    let refused = ask(&desk, &["queue", "retry", &text]).await.with_code(1);
    says(&refused, &["held by an operator", "yizhan queue release"]);
    says(&ask(&desk, &["queue", "release", &text]).await.with_code(0), &["was released"]);
    says(&ask(&desk, &["queue", "release", &text]).await.with_code(1), &["is queued", "queue show"]);
    assert_eq!(last(&desk).2, "changed 0, skipped 1 (first: wrong_state)");
    says(&ask(&desk, &["queue", "retry", &text]).await.with_code(0), &["is due now"]);
    let value = json(&desk, &["queue", "drop", &text], 0).await;
    assert_eq!(value, serde_json::json!({"changed": 1, "skipped": [], "still_waiting": []}));
    assert!(!desk.has(id).await);
}

#[tokio::test]
async fn of_many_ids_the_good_ones_are_changed_and_the_others_are_named() {
    let desk = Desk::open("ids").await;
    let good = desk.put("a", &["b@c.d"], "1", b"").await.to_string();
    let busy = desk.put("a", &["b@c.d"], "2", b"").await;
    desk.queue.busy.lock().unwrap().insert(busy);
    let busy = busy.to_string();
    let ran = ask(&desk, &["queue", "hold", &good, &busy]).await;
    assert_eq!((ran.code, ran.out.trim()), (1, format!("{good} is held").as_str()), "{ran:?}");
    says(&ran.err, &[&busy, "being sent", "try again"]);
    let value = json(&desk, &["queue", "drop", &good, "../x", "0123456789abcdef", &busy], 2).await;
    assert_eq!(value["changed"], 1);
    let codes: Vec<&str> =
        value["skipped"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["bad_id", "not_found", "busy"]);
    assert_eq!((&value["skipped"][0]["id"], &value["skipped"][2]["id"]), (&"../x".into(), &busy.into()));
}

#[tokio::test]
async fn conditions_need_the_number_and_change_nothing_when_it_differs() {
    let desk = Desk::open("expect").await;
    for n in 0..3 {
        desk.put("scanner", &["boss@example.com"], &format!("scan {n}"), b"").await;
    }
    let other = desk.put("ups", &["boss@example.com"], "扫描件 9", b"").await;
    let text = ask(&desk, &["queue", "drop", "--client", "scanner"]).await.with_code(2);
    says(&text, &["3 messages match", "nothing was changed", "--expect 3"]);
    assert_eq!(last(&desk).2, "count_needed: 3 messages match; nothing was changed without the expected number");
    let text =
        ask(&desk, &["queue", "drop", "--client", "scanner", "--expect", "4", "--lang", "zh"]).await.with_code(1);
    says(&text, &["有 3 封邮件符合，不是 4 封", "--expect 3"]);
    let value = json(&desk, &["queue", "drop", "--client", "scanner", "--expect", "2"], 1).await;
    assert_eq!(value["error"]["code"], "count_differs");
    assert!(value["error"]["remedy"].as_str().unwrap().contains("--expect 3"));
    let text =
        ask(&desk, &["queue", "hold", "--client", "scanner", "--since", "1h", "--expect", "3"]).await.with_code(0);
    assert_eq!(text, "3 messages are held\n");
    let (command, target, result) = last(&desk);
    assert_eq!((command.as_str(), result.as_str()), ("hold", "changed 3"));
    assert!(target.starts_with("client=scanner since=2") && target.contains(" expect=3: 3 messages 0"), "{target}");
    assert_eq!(desk.state(other).await, MessageState::Queued, "only what was meant");
    let text = ask(&desk, &["queue", "release", "--client", "scanner", "--expect", "3"]).await.with_code(0);
    assert_eq!(text, "3 messages were released\n");
    let text = ask(&desk, &["queue", "drop", "--subject", "描件", "--expect", "1", "--lang", "zh"]).await.with_code(0);
    assert_eq!((text.as_str(), desk.has(other).await), ("1 封邮件已删除\n", false));
}

#[tokio::test]
async fn nothing_drops_everything_by_mistake() {
    let desk = Desk::open("mistake").await;
    let id = desk.put("scanner", &["boss@example.com"], "scan", b"").await;
    let text = id.to_string();
    for (arguments, code, words) in [
        (&["queue", "drop"][..], 2, &["ID", "--client"][..]),
        (&["queue", "drop", "--expect", "1"], 2, &["at least one condition"]),
        (&["queue", "drop", "--subject", "!?", "--expect", "1"], 2, &["`subject`", "letter"]),
        (&["queue", "drop", "--client", "", "--expect", "1"], 2, &["`client`"]),
        (&["queue", "drop", "--state", "lost", "--expect", "1"], 2, &["lost", "deferred"]),
        (&["queue", "drop", "--since", "yesterday", "--expect", "1"], 2, &["yesterday", "2026-11-30 14:00", "1h"]),
        (&["queue", "drop", "--since", "1h", "--until", "2h", "--expect", "1"], 2, &["not before"]),
        (&["queue", "drop", &text, "--client", "scanner"], 2, &["together"]),
        (&["queue", "hold", "--state", "delivered", "--expect", "0"], 1, &["does nothing", "queued, sending"]),
        (&["queue", "hold", &text, "--reason", &"x".repeat(501)], 2, &["500 octets"]),
    ] {
        let ran = ask(&desk, arguments).await;
        assert!(ran.err.lines().count() == 1 && ran.err.len() < 500, "{arguments:?}: {ran:?}");
        says(&ran.with_code(code), words);
    }
    assert!(desk.has(id).await);
    let many: Vec<String> = (0..10_001).map(|n| format!("{n:016}")).collect();
    let many: Vec<&str> = ["queue", "drop"].into_iter().chain(many.iter().map(String::as_str)).collect();
    says(&ask(&desk, &many).await.with_code(1), &["10001 messages", "at most 10000", "--since"]);
}

#[tokio::test]
async fn a_change_of_more_than_a_page_reaches_every_message_but_busy_ones() {
    let desk = Desk::open("pages").await;
    let mut busy = Vec::new();
    for n in 0..1100 {
        let id = desk.put("news", &["a@b.c"], "x", b"").await;
        if n % 500 == 499 {
            busy.push(id);
        }
    }
    desk.queue.busy.lock().unwrap().extend(&busy);
    let value = json(&desk, &["queue", "hold", "--client", "news", "--expect", "1100"], 1).await;
    assert_eq!((&value["changed"], value["skipped"].as_array().unwrap().len()), (&1098.into(), 2));
    assert_eq!(desk.state(busy[0]).await, MessageState::Queued);
    let value = json(&desk, &["queue", "list", "--state", "held", "--limit", "1050", "--newest"], 0).await;
    assert_eq!((value["messages"].as_array().unwrap().len(), &value["total"]), (1050, &1098.into()));
    let next = value["next"].as_str().unwrap();
    let value = json(&desk, &["queue", "list", "--state", "held", "--newest", "--cursor", next], 0).await;
    assert_eq!((value["messages"].as_array().unwrap().len(), &value["next"]), (48, &Value::Null));
}

#[tokio::test]
async fn an_export_is_the_mail_octet_for_octet() {
    let desk = Desk::open("export").await;
    let body: Vec<u8> = (0..3_000_000u32).flat_map(|n| [n as u8 | 0x80, b'\r', b'\n']).collect();
    for body in [&b"short \xff\r\n"[..], &body, b""] {
        let id = desk.put("scanner", &["boss@example.com"], "scan", body).await.to_string();
        let command = desk.command(&["queue", "export", &id]);
        let out = tokio::task::spawn_blocking(move || { command }.output().expect("it runs")).await.unwrap();
        assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
        let head = b"Sender: office@example.com\r\nFrom: scan@office.lan\r\nSubject: scan\r\n\r\n";
        assert!(out.stdout.strip_prefix(head).is_some_and(|rest| rest == body), "{} octets", out.stdout.len());
        let (command, target, result) = last(&desk);
        assert_eq!((command.as_str(), target), ("export", id));
        assert_eq!(result, format!("done: {} octets", head.len() + body.len()));
    }
    says(&ask(&desk, &["queue", "export", "0123456789abcdef"]).await.with_code(2), &["no message", "yizhan history"]);
    assert_eq!(last(&desk).2, "not_found: there is no message 0123456789abcdef");
}

#[tokio::test]
async fn a_backup_is_made_beside_the_caller_and_never_over_a_file() {
    let desk = Desk::open("backup").await;
    let mut command = desk.command(&["backup", "copy.db"]);
    command.current_dir(desk.folder.path());
    let file = desk.folder.path().join("copy.db").display().to_string();
    says(&finish(command).await.with_code(0), &[&file, "3 messages, 4 B", "keep it secret"]);
    assert_eq!(last(&desk), ("backup".into(), file.clone(), "done: 3 messages, 4 octets".into()));
    let text = ask(&desk, &["backup", &file]).await.with_code(1);
    says(&text, &["cannot write", "name a new file"]);
    let value = json(&desk, &["backup", &file, "--lang", "zh"], 1).await;
    assert_eq!(value["error"]["code"], "file_exists");
    assert!(value["error"]["remedy"].as_str().unwrap().contains("不会被覆盖"));
}

#[tokio::test]
async fn a_command_that_cannot_be_recorded_is_carried_out() {
    let desk = Desk::open("norecord").await;
    desk.queue.full.store(true, Ordering::SeqCst);
    let id = desk.put("scanner", &["boss@example.com"], "scan", b"").await;
    ask(&desk, &["queue", "drop", &id.to_string()]).await.with_code(0);
    assert!(!desk.has(id).await && desk.queue.records.lock().unwrap().is_empty());
}

/// At a terminal the command shows the number and asks; anything but a yes changes nothing.
#[tokio::test]
async fn a_terminal_is_asked_and_gets_a_table_that_fits() {
    let script = need!(program("script"));
    let desk = Desk::open("terminal").await;
    let id = desk.put("scanner", &["colleague.with.a.long.name@a-long-domain.example.com"], "scan", b"").await;
    let data = desk.folder.path().join("data").display().to_string();
    let at_terminal = async |command: &str, answer: &str| {
        let line = format!(
            "printf '{answer}\\n' | {} -qec '{YIZHAN} {command} --data-dir {data}' /dev/null",
            script.display()
        );
        let ran = finish(clean(std::process::Command::new("/bin/sh"), ["-c", &line])).await;
        ran.out + &ran.err
    };
    let text = at_terminal("queue list", "").await;
    says(&text, &["AGE", "STATE", "queued", "1 message: 1 queued"]);
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
    let text = at_terminal("queue drop --client scanner", "n").await;
    says(&text, &["1 message matches client=scanner. Delete them for good?", "[y/N]"]);
    assert!(desk.has(id).await);
    says(&at_terminal("queue drop --client scanner", "y").await, &["1 message was dropped"]);
    assert!(!desk.has(id).await);
    says(&at_terminal("queue drop --client scanner", "y").await, &["No message fits client=scanner"]);
}
