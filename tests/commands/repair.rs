//! `yizhan repair` as a person runs it: the real program, over mails of `tests/golden/repair`.
//!
//! What it shows must be what the golden test says of the same mail; texts are looked at for what they must hold, not
//! word for word.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::folder::Folder;
use crate::support::program::{Ran, finish, yizhan};
use serde_json::Value;
use yizhan::message::Repair;

const ACCOUNT: &str = "[account.office]\nprovider = \"qq\"\nuser = \"office@qq.com\"\n\
    [account.second]\nprovider = \"custom\"\nhost = \"mail.example.com\"\nuser = \"second@example.com\"\n";
const CLIENTS: &str = "[client.scanner]\nfrom = [\"192.168.1.0/24\"]\n[client.ups]\nfrom = [\"fd00::7\"]\n";

/// Mails whose outcome the golden test has written down, with the same envelope and owner as there.
const GOLDEN: &[&str] = &[
    "01-legal-untouched",
    "02-gbk-subject-no-date",
    "08-cr-cr-lf",
    "11-no-blank-line",
    "17-gbk-display-name",
    "19-long-text-line",
    "20-long-base64-line",
    "21-nul-body",
    "29-no-from-no-to",
    "33-multipart-long-line",
    "34-signed-untouched",
    "80-client-display",
    "81-client-display-not-needed",
    "82-client-charset",
    "83-client-reply-to-and-prefix",
    "84-client-reply-to-kept",
    "85-client-minimal",
    "86-client-minimal-long-line",
    "87-client-drop-cron-env",
    "88-boundary-in-pieces",
];

/// The settings of the client that a readme speaks of; an empty text when it speaks of none.
fn client_of(readme: &str) -> String {
    let Some(list) = readme.lines().find_map(|line| line.strip_prefix("Client: ")) else { return String::new() };
    let setting = |item: &str| match item.split_once('=').unwrap_or((item, "")) {
        ("minimal", _) => "repair = \"minimal\"\n".to_owned(),
        ("drop_cron_env", _) => "drop_cron_env = true\n".to_owned(),
        ("reply_to", _) => "reply_to = \"help@example.com\"\n".to_owned(),
        (key, text) => format!("{key} = \"{text}\"\n"),
    };
    let settings: String = list.split(", ").map(setting).collect();
    format!("[client.device]\nfrom = [\"127.0.0.1\"]\n{settings}")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/repair").join(name)
}

/// A folder with a settings file in it.
fn settings(name: &str, text: &str) -> Folder {
    let folder = Folder::new(name);
    // A secret is not needed, and the command must not ask for one.
    folder.file("yizhan.toml", format!("data_dir = \"{}\"\n{text}", folder.path().join("data").display()));
    folder
}

async fn repair(folder: &Folder, arguments: &[&str]) -> Ran {
    let mut command = yizhan(["repair"]);
    command.args(arguments).arg("--config").arg(folder.path().join("yizhan.toml"));
    command.env("TMPDIR", folder.path());
    finish(command).await
}

async fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let ran = repair(folder, &[arguments, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    serde_json::from_str(&ran.out).expect("one JSON object")
}

fn body_of(mail: &[u8]) -> &[u8] {
    let end = mail.windows(4).position(|four| four == b"\r\n\r\n").expect("a blank line") + 4;
    &mail[end..]
}

fn names(report: &Value) -> String {
    let list = report["repairs"].as_array().expect("a list");
    list.iter().map(|one| one["name"].as_str().expect("a name")).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn golden_mails_are_repaired_as_the_relay_repairs_them() {
    for name in GOLDEN {
        let case = golden(name);
        let readme = fs::read_to_string(case.join("readme")).unwrap();
        let client = client_of(&readme);
        let folder = settings("repair-golden", &format!("{ACCOUNT}{client}"));
        let (mail, out) = (case.join("in.eml").display().to_string(), folder.path().join("out.eml"));
        let out_path = out.display().to_string();
        let mut arguments =
            vec![&*mail, "--from", "scanner@office.lan", "--to", "boss@example.com", "--out", &out_path];
        if !client.is_empty() {
            arguments.extend(["--client", "device"]);
        }
        let report = json(&folder, &arguments).await;
        let expected = readme.lines().last().unwrap().trim_start_matches("Repairs: ");
        let came = names(&report);
        assert_eq!(if came.is_empty() { "none" } else { &came }, expected, "{name}");
        let (written, golden) = (fs::read(&out).unwrap(), fs::read(case.join("out.eml")).unwrap());
        assert_eq!(body_of(&written), body_of(&golden), "{name}");
        assert_eq!(report["after"]["body"]["octets"], body_of(&written).len(), "{name}");
        assert!(written.starts_with(b"Received: from device ([127.0.0.1])\r\n"), "{name}");
        let head = String::from_utf8(written[..written.len() - body_of(&written).len()].to_vec()).expect("it is ASCII");
        assert!(head.contains("<office@qq.com>\r\n") || head.contains("From: office@qq.com\r\n"), "{name}: {head}");
        // The command is a rehearsal: nothing was kept, not even for long bodies.
        assert!(!folder.path().join("data").exists());
        assert!(fs::read_dir(folder.path()).unwrap().count() == 2, "the settings and what was asked for");
        fs::remove_file(out).unwrap();
    }
}

#[tokio::test]
async fn every_repair_has_its_reason_and_every_changed_line_its_mark() {
    let folder = settings("repair-text", ACCOUNT);
    let mail = golden("02-gbk-subject-no-date").join("in.eml").display().to_string();
    let text = repair(&folder, &[&mail]).await.with_code(0);
    let date = format!("    date-added  {}\n", Repair::DateAdded.why());
    for part in [
        "as a device would send it\n",
        "  - Subject: \\x",
        "repairs\n",
        date.as_str(),
        "as it would be sent through account office\n",
        "  + Received: from device",
        "  + Subject: =?",
        "body: ",
        "8-bit octets",
        "a person reads\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let chinese = repair(&folder, &[&mail, "--lang", "zh"]).await.with_code(0);
    for part in ["设备发来时", Repair::DateAdded.why_zh(), "经账号 office 发出时", "正文："] {
        assert!(chinese.contains(part), "{part:?} is not in\n{chinese}");
    }
    let report = json(&folder, &[&mail, "--account", "second"]).await;
    assert_eq!((report["account"].as_str(), report["client"].as_str()), (Some("second"), None));
    let changed = |side: &str, start: &str| {
        let lines = report[side]["header"].as_array().unwrap();
        let line = lines.iter().find(|line| line["text"].as_str().unwrap().starts_with(start));
        line.unwrap_or_else(|| panic!("{start} in {report}"))["changed"].as_bool().unwrap()
    };
    assert!(changed("before", "Subject:") && changed("after", "Subject:") && changed("after", "Date:"));
    assert!(!changed("before", "To:") && !changed("after", "To:"));
}

#[tokio::test]
async fn it_works_without_an_account_and_says_what_it_cannot_show() {
    let folder = settings("repair-no-account", "");
    let mut command = yizhan(["repair", "-", "--config"]);
    command.arg(folder.path().join("yizhan.toml")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"From: \x1b[2Jprinter\n\nhello\n").unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8(out.stdout).expect("printable text");
    assert!(out.status.success(), "{text}");
    assert!(text.contains("the sender is not rewritten") && text.contains("bare-line-ends"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("sender-rewritten"), "{text}");
}

#[tokio::test]
async fn a_client_is_chosen_by_its_name() {
    let folder = settings("repair-client", &format!("{ACCOUNT}{CLIENTS}"));
    let mail = golden("01-legal-untouched").join("in.eml").display().to_string();
    for (name, place) in [("scanner", "from scanner ([192.168.1.0])"), ("ups", "from ups ([IPv6:fd00::7])")] {
        let report = json(&folder, &[&mail, "--client", name]).await;
        assert_eq!(report["client"], name);
        assert!(report["after"]["header"][0]["text"].as_str().unwrap().contains(place), "{report}");
    }
    let text = repair(&folder, &[&mail, "--client", "printer"]).await.with_code(2);
    assert!(text.contains("there is no [client.printer] in the settings; there is: scanner, ups"), "{text}");
    let text = repair(&folder, &[&mail, "--account", "third"]).await.with_code(2);
    assert!(text.contains("there is: office, second"), "{text}");
}

#[tokio::test]
async fn what_the_relay_would_refuse_is_told() {
    let folder = settings("repair-refused", &format!("{ACCOUNT}[limits]\nmessage_size = \"5MiB\"\n"));
    let large = folder.file("large.eml", vec![b'x'; (5 << 20) + 1]).display().to_string();
    let text = repair(&folder, &[&large]).await.with_code(1);
    assert!(text.contains("the relay would refuse it\n    552 5.3.4"), "{text}");
    let header = folder.file("header.eml", "X: y\r\n".repeat(100_000)).display().to_string();
    let out = folder.path().join("out.eml").display().to_string();
    let ran = repair(&folder, &[&header, "--json", "--out", &out]).await;
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, report["after"].is_null(), Path::new(&out).exists()), (1, true, false));
    assert!(report["refused"].as_str().unwrap().starts_with("55"), "{report}");
}

#[tokio::test]
async fn a_long_body_leaves_no_file_behind() {
    let folder = settings("repair-long", ACCOUNT);
    let mail = [&b"From: a@b.c\r\n\r\n"[..], &b"0123456789\n".repeat(1 << 16)].concat();
    let mail = folder.file("long.eml", mail).display().to_string();
    let report = json(&folder, &[&mail]).await;
    assert_eq!(report["before"]["body"]["bare_line_ends"], 1 << 16);
    assert_eq!(
        (report["after"]["body"]["octets"].as_u64(), names(&report).contains("bare-line-ends")),
        (Some(12 << 16), true)
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn exit_codes_are_those_of_the_manual() {
    let folder = settings("repair-codes", ACCOUNT);
    let none = folder.path().join("none.eml").display().to_string();
    let text = repair(&folder, &[&none]).await.with_code(1);
    assert!(text.contains("cannot read") && text.contains("none.eml"), "{text}");
    repair(&folder, &[]).await.with_code(2);
    repair(&folder, &["-", "--to", "a@b@c"]).await.with_code(2);
    folder.file("yizhan.toml", "[client.scanner]\n");
    let text = repair(&folder, &["-"]).await.with_code(78);
    assert!(text.contains("client.scanner.from"), "{text}");
}
