//! `yizhan history` and the conditions of `yizhan queue list`: what is found, how it is shown, what is said when nothing is.

use serde_json::Value;

use super::desk::Desk;
use crate::support::program::{Ran, finish};

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

async fn ask(desk: &Desk, arguments: &[&str]) -> Ran {
    finish(desk.command(arguments)).await
}

async fn filled(name: &str) -> (Desk, Vec<String>) {
    let desk = Desk::open(name).await;
    let mut ids = Vec::new();
    for (client, to, subject) in [
        ("scanner", &["boss@example.com"][..], "扫描件 1"),
        ("ups", &["admin@corp.test", "night@corp.test"], "Battery low"),
        ("scanner", &["anna@example.com"], "扫描件 2"),
    ] {
        ids.push(desk.put(client, to, subject, b"x").await.to_string());
    }
    (desk, ids)
}

#[tokio::test]
async fn messages_are_found_by_each_condition_newest_first() {
    let (desk, ids) = filled("find").await;
    let text = ask(&desk, &["history"]).await.with_code(0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    says(lines[0], &[&ids[2], "queued", "scanner", "scan@office.lan -> anna@example.com", "\"扫描件 2\""]);
    says(lines[1], &[&ids[1], "admin@corp.test, +1"]);
    assert_eq!(lines[3], "3 match");
    for (arguments, found) in [
        (&["--client", "ups"][..], &[1][..]),
        (&["--from", "office.lan"], &[2, 1, 0]),
        (&["--to", "anna@example.com"], &[2]),
        (&["--to", "example.com"], &[2, 0]),
        (&["--subject", "扫描"], &[2, 0]),
        (&["--subject", "batt"], &[1]),
        (&["--state", "queued", "--state", "failed"], &[2, 1, 0]),
        (&["--account", "office"], &[2, 1, 0]),
        (&["--since", "1h", "--client", "scanner"], &[2, 0]),
        (&["--until", "1h"], &[]),
    ] {
        let ran = ask(&desk, &[&["history", "--json"], arguments].concat()).await;
        let value: Value = serde_json::from_str(&ran.with_code(0)).unwrap();
        let seen: Vec<&str> =
            value["messages"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        let expected: Vec<&str> = found.iter().map(|&place: &usize| ids[place].as_str()).collect();
        assert_eq!((seen, value["total"].as_u64()), (expected, Some(found.len() as u64)), "{arguments:?}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_no_match_repeats_the_conditions() {
    let (desk, ids) = filled("pages-of").await;
    let text = ask(&desk, &["history", "--limit", "2"]).await.with_code(0);
    says(&text, &["2 of 3 that match; more: --cursor 2"]);
    let text = ask(&desk, &["history", "--limit", "2", "--cursor", "2", "--lang", "zh"]).await.with_code(0);
    says(&text, &[&ids[0], "排队", "共 3 条符合，显示 1 条"]);
    let none = ask(&desk, &["history", "--client", "fax", "--state", "failed"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, "No message fits state=failed client=fax.\n"));
    let none = ask(&desk, &["queue", "list", "--client", "fax", "--lang", "zh"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, "没有符合条件的邮件：client=fax。\n"));
}

#[tokio::test]
async fn what_cannot_be_read_exits_with_2_and_teaches() {
    let (desk, _) = filled("odd").await;
    for (arguments, words) in [
        (&["--since", "yesterday"][..], &["`yesterday` is not a time", "1h", "2026-11-30 14:00"][..]),
        (&["--until", "2026-13-01"], &["2026-13-01"]),
        (&["--since", "1h", "--until", "2d"], &["not before"]),
        (&["--cursor", "../x"], &["not a cursor", "`next`"]),
        (&["--state", "lost"], &["lost", "deferred"]),
        (&["--subject", "..."], &["`subject`"]),
        (&["--commands", "--client", "x"], &["--commands"]),
        (&["--limit", "many"], &["--limit", "many"]),
    ] {
        for command in [&["history"][..], &["queue", "list"]] {
            if command[0] == "queue" && arguments[0] == "--commands" {
                continue;
            }
            says(&ask(&desk, &[command, arguments].concat()).await.with_code(2), words);
        }
    }
    let ran = ask(&desk, &["history", "--since", "soon", "--json", "--lang", "zh"]).await;
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&value["error"]["code"], &value["error"]["message"]), (&"bad_time".into(), &"`soon` 不是时间".into()));
    ran.with_code(2);
}

#[tokio::test]
async fn the_list_is_oldest_first_and_turns_round() {
    let (desk, ids) = filled("turn").await;
    let order = |text: String| text.lines().map(|line| line[..16].to_owned()).collect::<Vec<_>>();
    let oldest = order(ask(&desk, &["queue", "list"]).await.with_code(0));
    assert_eq!(oldest, ids);
    let mut newest = order(ask(&desk, &["queue", "list", "--newest"]).await.with_code(0));
    newest.reverse();
    assert_eq!(newest, ids);
    let text = ask(&desk, &["queue", "list", "--client", "ups"]).await.with_code(0);
    says(&text, &["tries=0", "age=", "client=ups from=<scan@office.lan> to=admin@corp.test,night@corp.test"]);
}

#[tokio::test]
async fn the_commands_of_operators_are_listed() {
    let (desk, ids) = filled("audit").await;
    says(&ask(&desk, &["history", "--commands"]).await.with_code(0), &["No command is recorded"]);
    ask(&desk, &["queue", "drop", &ids[0]]).await.with_code(0);
    ask(&desk, &["account", "pause", "office", "--reason", "holidays"]).await.with_code(0);
    ask(&desk, &["queue", "list"]).await.with_code(0);
    let text = ask(&desk, &["history", "--commands", "--since", "1h"]).await.with_code(0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[2]), (3, "2 match"), "{text}");
    says(lines[0], &["uid ", "socket  pause  office reason=\"holidays\"  done"]);
    says(lines[1], &[&format!("socket  drop  {}  changed 1", ids[0])]);
}
