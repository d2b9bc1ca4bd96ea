//! What the relay writes to its owner, octet for octet, and as Python reads it.
//!
//! Each folder of `tests/golden/notice/` holds `out.eml` (the mail as stored), `text` (what a person is shown, so that a
//! change can be reviewed), `readme`, and for a mail that failed `original.eml` (its stored header). On a mismatch the
//! outcome is written beside as `*.failed`. Time, ids and accounts are fixed here. That the mails are legal is also asked
//! of foreign judges (`judges`). Not here: when something is told (`account::alarm`, `report::digest`).

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::folder::Folder;
use crate::support::peers;
use crate::support::skip::need;
use mail_parser::MessageParser;
use serde_json::Value;
use yizhan::language::Language;
use yizhan::mail::{Address, Id, ReversePath};
use yizhan::message::notice::alarm::{self, Alarm, Kind, Remedy};
use yizhan::message::notice::digest::{self, Digest, Row};
use yizhan::message::notice::{Failure, Letter, Notice, build};
use yizhan::message::{ClientProfile, Facts, FirstPass, repair};

const DATE: &str = "Sat, 21 Nov 2026 18:00:00 +0800";
const ARRIVED: &str = "Fri, 20 Nov 2026 09:30:00 +0800";
/// What a client or a provider may put where words are expected.
const EVIL: &str =
    "x\r\nBcc: eve@evil.example\r\n\r\n--=_yizhan_mi8notice0000001\r\n\u{202e}\u{1b}[31m =?UTF-8?B?DQpCY2M6IGV2ZQ==?=";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

/// Head, blank line and body.
fn whole((head, body): (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [&head[..], b"\r\n", &body].concat()
}

fn letter<'a>(from: &'a Address, to: &'a Address, language: Language) -> Letter<'a> {
    let id = id("mi8notice0000001");
    Letter { from, to, id, domain: from.domain(), host: "relay.office.lan", date: DATE, language }
}

fn failure(kind: &str, language: Language, original: &[u8], words: &str) -> Vec<u8> {
    let (owner, bob, eve) = (address("office@qq.com"), address("bob@example.com"), address("eve@example.com"));
    let reply = format!("550 Mailbox not found. 收件人不存在 http://service.mail.qq.com/cgi-bin/help{words}");
    let refused = [Failure {
        recipient: &bob,
        status: "5.1.1",
        reply: &reply,
        remedy: Some(("Check the address of the recipient.", "请检查收件人地址。")),
    }];
    let silent = [
        Failure { recipient: &bob, status: "4.4.1", reply: "", remedy: None },
        Failure { recipient: &eve, status: "5.7.1", reply: "550 5.7.1 <eve@example.com>: refused", remedy: None },
    ];
    whole(build(&Notice {
        letter: letter(&owner, &owner, language),
        failed: id("mi8golden0000001"),
        arrived: ARRIVED,
        tries: if kind == "refused" { 1 } else { 31 },
        original,
        failures: if kind == "refused" { &refused } else { &silent },
    }))
}

fn many(language: Language, words: &str) -> Vec<u8> {
    let (owner, bob, eve) = (address("office@qq.com"), address("bob@example.com"), address("eve@example.com"));
    let gone = Some(("Correct the address; it does not exist.", "收件地址不存在，请更正。"));
    let (scanner, long) =
        (format!("scanner{words}"), format!("Quarterly report of the whole department, part one{words}"));
    let row = |number: &str, client, subject, recipient, reply, cause, remedy| Row {
        id: id(number),
        client,
        subject,
        recipient,
        reply,
        cause,
        remedy,
    };
    let rows = [
        row(
            "mi8golden0000001",
            &*scanner,
            "=?UTF-8?B?5a2j5bqm5oql5ZGK?=",
            &bob,
            "550 Mailbox not found.",
            "QQ-R1",
            gone,
        ),
        row("mi8golden0000002", "nas", &*long, &eve, "554 mail | from 10.0.0.1 | rejected", "XX-5", None),
        row("mi8golden0000003", "nas", "", &bob, "550 Mailbox not found.", "QQ-R1", gone),
        row("mi8golden0000004", "192.168.1.7", "x", &eve, "", "XX-NONE", None),
    ];
    let letter = letter(&owner, &owner, language);
    whole(digest::build(&Digest { letter, between: (ARRIVED, DATE), mails: 16, rows: &rows, unlisted: 12 }))
}

fn stopped(kind: Kind, words: &str) -> Alarm {
    Alarm {
        kind,
        again: false,
        account: format!("office{words}"),
        provider: "qq".to_owned(),
        address: "office@qq.com".to_owned(),
        since: "2026-11-21T17:58:30.123+08:00".to_owned(),
        cause: "QQ-A4".to_owned(),
        reply: format!("454 Authentication failed, please open smtp flag first!{words}"),
        remedy: Some(Remedy {
            en: "Turn on the SMTP service in the web settings of the mailbox.".to_owned(),
            zh: "请在邮箱网页设置里开启 SMTP 服务。".to_owned(),
        }),
        waiting: 12,
        hostname: "relay.office.lan".to_owned(),
    }
}

fn about_account(kind: Kind, language: Language, words: &str) -> Vec<u8> {
    let (backup, owner) = (address("backup@163.com"), address("office@qq.com"));
    whole(alarm::build(&letter(&backup, &owner, language), &stopped(kind, words)))
}

/// All goldens by name; `words` are put where peers have their say.
fn all(words: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/notice");
    let original = fs::read(root.join("refused-both/original.eml")).unwrap();
    let mut all = Vec::new();
    for language in Language::ALL {
        let mut add = |form: &str, mail| all.push((format!("{form}-{}", language.name()), mail));
        for kind in ["refused", "silent"] {
            add(kind, failure(kind, language, &original, words));
        }
        add("digest", many(language, words));
        let until = "2026-11-21T19:00:00.000+08:00".to_owned();
        add("paused", about_account(Kind::Paused, language, words));
        add("cooling", about_account(Kind::Cooling { until }, language, words));
        add("unreachable", about_account(Kind::Unreachable, language, words));
        add("resumed", about_account(Kind::Resumed, language, words));
        add("failed", about_account(Kind::Failed { mails: 31 }, language, words));
    }
    all
}

/// Compares with a golden file; on a mismatch leaves the outcome beside it.
fn compare(file: PathBuf, actual: &[u8], wrong: &mut Vec<String>) {
    let failed = file.with_added_extension("failed");
    if fs::read(&file).unwrap_or_default() == actual {
        let _ = fs::remove_file(failed);
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&failed, actual).unwrap();
    wrong.push(format!("{} is not {}", file.display(), failed.display()));
}

fn text_of(mail: &[u8]) -> String {
    let mail = MessageParser::new().parse(mail).expect("a mail");
    let text = mail.body_text(0).expect("a text").replace("\r\n", "\n");
    format!("Subject: {}\n\n{text}", mail.subject().unwrap_or(""))
}

#[test]
fn every_golden_notice_is_written_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/notice");
    let (mut wrong, mut names) = (Vec::new(), BTreeSet::new());
    for (name, mail) in all("") {
        compare(root.join(&name).join("out.eml"), &mail, &mut wrong);
        compare(root.join(&name).join("text"), text_of(&mail).as_bytes(), &mut wrong);
        names.insert(name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let there: BTreeSet<String> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(there, names, "a folder that no test reads");
}

#[test]
fn each_language_speaks_for_itself() {
    for (name, mail) in all("") {
        let text = text_of(&mail);
        // The provider's own words and the subject of the mail are in the language they were in.
        let ours: String =
            text.lines().filter(|line| !line.contains("收件人不存在") && !line.contains("季度报告")).collect();
        let chinese = ours.replace("驿站: ", "").chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        let english =
            ["cannot send", "could not deliver", "sends again", "Not delivered since"].iter().any(|w| ours.contains(w));
        let language = name.rsplit('-').next().unwrap();
        assert_eq!((english, chinese), (language != "zh", language != "en"), "{name}: {text}");
    }
}

#[test]
fn our_own_repair_finds_nothing_to_repair() {
    let (fallback, client) = (address("office@qq.com"), ClientProfile::default());
    for (name, mail) in all("").into_iter().chain(all(EVIL)) {
        let (mut first, mut body) = (FirstPass::new(&client.demand()), Vec::new());
        first.push(&mail, &mut body).unwrap();
        let examined = first.finish(&mut body).unwrap();
        let repaired = repair(
            examined.header,
            &Facts {
                date: "Sun, 22 Nov 2026 18:00:00 +0800",
                id: id("mi8other00000001"),
                domain: "qq.com",
                fallback_from: &fallback,
                sender: &ReversePath::Address(fallback.clone()),
                recipients: std::slice::from_ref(&fallback),
                body: &examined.body,
                plan: &examined.plan,
                client: &client,
            },
        );
        let names: Vec<&str> = repaired.repairs.iter().map(|repair| repair.name()).collect();
        assert_eq!(names, Vec::<&str>::new(), "{name}: {}", mail.escape_ascii());
        assert!([&repaired.head[..], b"\r\n", &body].concat() == mail, "{name}: changed");
    }
}

#[test]
fn python_shows_what_was_meant_and_no_more() {
    let python = need!(peers::program("python3"));
    let folder = Folder::new("notices");
    let (plain, evil) = (all(""), all(EVIL));
    let named = plain.iter().map(|(name, mail)| (format!("plain {name}"), mail));
    let named: Vec<_> = named.chain(evil.iter().map(|(name, mail)| (format!("evil {name}"), mail))).collect();
    let input: String = (named.iter().enumerate())
        .map(|(number, (name, mail))| format!("{name}\t{}\n", folder.file(&format!("{number}.eml"), mail).display()))
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/notice.py");
    let mut command = Command::new(python);
    command.arg(script).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), named.len());
    for (value, (name, mail)) in said.iter().zip(&named) {
        let field = |key: &str| value[key].as_str().unwrap().to_owned();
        assert_eq!((&field("name"), value["defects"].as_array().unwrap().len()), (name, 0), "{value:#}");
        let report = name.contains("refused") || name.contains("silent");
        let account = ["paused", "cooling", "unreachable", "resumed", "failed"].iter().any(|kind| name.contains(kind));
        assert_eq!(field("auto"), if report { "auto-replied" } else { "auto-generated" });
        assert_eq!(field("kind"), if report { "multipart/report" } else { "text/plain" });
        assert_eq!(value["to"], serde_json::json!(["office@qq.com"]), "{name}");
        assert_eq!(
            value["from"],
            serde_json::json!([if account { "backup@163.com" } else { "office@qq.com" }]),
            "{name}"
        );
        // The two readers agree, and nobody has got a field or a line of its own in.
        assert_eq!(format!("Subject: {}\n\n{}", field("subject"), field("text")), text_of(mail), "{name}");
        let fields: Vec<&str> = value["fields"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        assert!(!fields.contains(&"bcc") && fields.len() <= 12, "{name}: {fields:?}");
        let text = field("text");
        assert!(text.lines().all(|line| !line.starts_with("Bcc") && !line.starts_with("--=")), "{name}: {text}");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'),
            "{name}: {text:?}"
        );
        if let Some(form) = name.strip_prefix("evil ") {
            let resumed = form.starts_with("failed") || form.starts_with("silent");
            assert!(resumed || text.contains("Bcc: eve@evil.example"), "{name}: the words are there, as words: {text}");
        }
    }
}
