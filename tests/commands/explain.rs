//! `yizhan explain` as a person runs it, by the real program: every row of the catalogue in both languages, the exit
//! codes, and replies that nobody has described. The catalogue itself is held by the tests beside it.

use std::collections::BTreeMap;

use crate::support::folder::Folder;
use crate::support::load::{Courier, letter};
use crate::support::office::provider;
use crate::support::program::{Program, Ran, Site, field_of, finish, yizhan};
use serde_json::Value;
use yizhan::provider::{Group, names, preset};
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};

/// The table as a person reads it: not through the code that is tested.
const TABLE: &str = include_str!("../../src/provider/catalogue.tsv");

struct Row<'a> {
    id: &'a str,
    group: &'a str,
    phases: &'a str,
    sample: &'a str,
    en: &'a str,
    zh: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[id, group, phases, sample, _, _, _, _, en, zh] = columns.as_slice() else { panic!("{line}") };
        Row { id, group, phases, sample, en, zh }
    };
    lines.map(row).collect()
}

async fn explain(arguments: &[&str]) -> Ran {
    let mut command = yizhan(["explain"]);
    command.args(arguments);
    finish(command).await
}

async fn json(arguments: &[&str], code: i32) -> Vec<Value> {
    let ran = explain(&[arguments, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{arguments:?}: {}", ran.out);
    serde_json::from_str(&ran.out).expect("a list of objects")
}

/// Where a sample of this row has to be looked up: one phase is enough.
fn phase_of(row: &Row<'_>) -> &'static str {
    let first = row.phases.split(',').next().unwrap();
    let phases = ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "rset", "quit"];
    phases.into_iter().find(|phase| phase.eq_ignore_ascii_case(first)).unwrap_or("data")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_explained_in_both_languages() {
    // Rows with the same group and phase go in one call: the program is started some fifty times, not four hundred.
    let mut together: BTreeMap<(&str, &str), Vec<Row<'_>>> = BTreeMap::new();
    for row in rows() {
        together.entry((row.group, phase_of(&row))).or_default().push(row);
    }
    let mut explained = 0;
    for ((group, phase), rows) in &together {
        for lang in ["en", "zh"] {
            let mut arguments: Vec<&str> = rows.iter().map(|row| row.sample).collect();
            arguments.extend(["--provider", group, "--phase", phase, "--lang", lang]);
            let unknown =
                rows.iter().any(|row| ["XX-9", "XX-10", "XX-2A", "XX-3A", "XX-13", "XX-14"].contains(&row.id));
            let unknown = unknown || rows.iter().any(|row| ["XX-9R", "XX-10M", "XX-10R"].contains(&row.id));
            let answers = json(&arguments, i32::from(unknown)).await;
            assert_eq!(answers.len(), rows.len());
            for (row, answer) in rows.iter().zip(&answers) {
                let readings = answer["readings"].as_array().unwrap();
                assert_eq!(readings.len(), 1, "{}", row.id);
                assert_eq!(readings[0]["cause"], row.id);
                assert_eq!(readings[0]["owner"], if lang == "en" { row.en } else { row.zh });
                for text in ["means", "relay", "founded"] {
                    let text = readings[0][text].as_str().unwrap();
                    assert!(!text.is_empty() && text.is_ascii() == (lang == "en"), "{}: {text}", row.id);
                }
                explained += 1;
            }
        }
    }
    assert_eq!(explained, 2 * 318);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_every_one_that_fits_is_named() {
    let answers = json(&["535 Error: authentication failed"], 0).await;
    let readings = answers[0]["readings"].as_array().unwrap();
    let causes: Vec<&str> = readings.iter().map(|one| one["cause"].as_str().unwrap()).collect();
    // Rows that nobody has verified (`139`, `189` ...) fit every 535, and are not named beside those.
    assert_eq!(causes, ["QQ-A6", "NE-A1", "ZO-A1", "MR-A2", "BR-A2", "MT-A1", "HO-A1"]);
    let netease: Vec<&str> = readings[1]["providers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(netease, ["126", "163", "163-enterprise", "yeah"]);
    assert_eq!(readings[1]["phases"], serde_json::json!(["auth"]));
    // With one, only what it means there.
    let answers = json(&["535 Error: authentication failed", "--provider", "zoho"], 0).await;
    assert_eq!(answers[0]["readings"].as_array().unwrap().len(), 1);
    assert_eq!(answers[0]["readings"][0]["cause"], "ZO-A1");
    assert_eq!(answers[0]["readings"][0]["action"], "pause");
    // An unverified row is named to the provider it is for.
    let answers = json(&["535 Error: authentication failed", "--provider", "139"], 0).await;
    assert_eq!(answers[0]["readings"][0]["cause"], "CM-A1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_says_what_it_is_and_what_to_do() {
    let ran = explain(&["550 Ip frequency limited", "--provider", "qq", "--lang", "en"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let says = |text: &str| assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    says("550 Ip frequency limited");
    says("QQ-F1  qq");
    says("The 5 in front says the opposite, and is wrong.");
    says("Holds the mail of the account for an hour");
    says("Nothing to do now");
    let ran = explain(&["550 Ip frequency limited", "--provider", "qq", "--lang", "zh"]).await;
    let says = |text: &str| assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    says("含义  到了限额");
    says("不会退信");
    says("现在无需操作");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_the_owner_come_first() {
    let folder = Folder::new("explain-own");
    let rows = "[[reply]]\nprovider = \"qq\"\npattern = '^550\\b.*frequency'\naction = \"BOUNCE\"\nremedy = \"Ask Li.\"\n\
                [[reply]]\npattern = 'moon'\naction = \"RETRY_DAY+ALERT\"\n";
    let path = folder.file("yizhan.toml", format!("data_dir = \"/nowhere\"\n{rows}"));
    let path = path.to_str().unwrap();
    let ran = explain(&["550 Ip frequency limited", "--provider", "qq", "--lang", "en", "--config", path]).await;
    let says = |text: &str| assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    says("own-1  qq");
    says("Ask Li.");
    says("your own row");
    let ran = explain(&["550 5.9.9 the moon is full", "--lang", "en", "--config", path]).await;
    assert!(ran.code == 0 && ran.out.contains("own-2  any provider"), "{}", ran.out);
    // A file that was named and is wrong is a mistake; one that was only found leaves the own rows out.
    let wrong = folder.file("wrong.toml", "[[reply]]\npattern = '('\naction = \"OK\"\n");
    let ran = explain(&["550 no", "--config", wrong.to_str().unwrap()]).await;
    assert!(ran.code == 78 && ran.err.contains("the pattern cannot be read"), "{}", ran.err);
    let mut command = yizhan(["explain", "550 Ip frequency limited", "--lang", "en"]);
    command.env("YIZHAN__REPLY__0__PATTERN", "(").env("YIZHAN__REPLY__0__ACTION", "OK");
    let ran = finish(command).await;
    assert!(ran.code == 0 && ran.err.contains("left out") && ran.out.contains("QQ-F1"), "{}{}", ran.err, ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_reply_says_what_the_relay_would_do_anyway() {
    let ran = explain(&["550 5.9.9 the moon is full", "--lang", "en"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    let says = |text: &str| assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    says("Not in the catalogue: only the first digit was understood.");
    says("XX-10  any provider");
    says("XX-10M  any provider");
    says("Tries again later; gives up, with a notice, only when it is refused again while other mail goes out.");
    says("the first digit only");
    says("XX-10R  any provider");
    says("XX-2A  any provider");
    // One that is known does not hide one that is not.
    let answers = json(&["550 Ip frequency limited", "451 4.9.9 moon"], 1).await;
    assert_eq!([&answers[0]["known"], &answers[1]["known"]], [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_verdict_was_reached_is_said() {
    let arguments = ["--provider", "custom", "--phase", "data"];
    let replies = ["550 You have sent too many messages", "550 5.9.9 the moon is full", "503 5.5.1 what"];
    let answers = json(&[&replies[..], &arguments[..]].concat(), 1).await;
    let of = |place: usize, name: &str| answers[place]["readings"][0][name].as_str().unwrap().to_owned();
    assert_eq!([of(0, "basis"), of(1, "basis"), of(2, "basis")], ["words", "digit", "row"]);
    assert_eq!([of(0, "cause"), of(0, "action"), of(0, "scope")], ["W-RATE", "cool15", "account"]);
    assert_eq!(of(1, "action"), "retry>bounce");
    for (lang, head, quote) in [
        ("en", "Not in the catalogue: guessed from its words.", "from the words \"too many ... messages\""),
        ("zh", "目录里没有这条回复：根据其中的词语推测。", "“too many ... messages”（太多）"),
    ] {
        let ran = explain(&[&replies[..1], &arguments[..], &["--lang", lang]].concat()).await;
        assert!(ran.code == 0 && ran.out.contains(head) && ran.out.contains(quote), "{}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_understood_as_programs_show_it() {
    for pasted in [
        "smtplib.SMTPDataError: (550, b'Ip frequency limited')",
        "550: Ip frequency limited",
        "550：Ip frequency limited",
        "\"550 Ip frequency limited\"",
        "<** 550 Ip frequency limited",
        " ->  MAIL FROM:<a@b.example>\n<** 550-Ip frequency\n<** 550 limited",
        r#"{"event":"account_cooling","why":"550 Ip frequency limited","phase":"data"}"#,
        "Ip frequency limited",
    ] {
        let answers = json(&[pasted, "--provider", "qq"], 0).await;
        assert_eq!(answers[0]["readings"][0]["cause"], "QQ-F1", "{pasted}");
    }
    // The log line says where the reply came.
    let pasted = r#"{"event":"refused","text":"550 User is over flow","phase":"rcpt"}"#;
    let answers = json(&[pasted, "--provider", "163"], 0).await;
    assert_eq!(answers[0]["readings"][0]["cause"], "NE-R2R");
    let ran = explain(&["Ip frequency limited", "--provider", "qq", "--lang", "en"]).await;
    assert!(ran.out.contains("It has no code"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refused_log_in_says_is_never_a_bounce() {
    let text = "502 Invalid input from 203.0.113.9 to newxmesmtplogicsvrsza9.qq.com.";
    let answers = json(&[text, "--provider", "qq", "--phase", "auth"], 0).await;
    let reading = &answers[0]["readings"][0];
    assert_eq!([&reading["cause"], &reading["action"], &reading["scope"]], ["QQ-A8", "cool15>pause", "account"]);
    let answers = json(&[text, "--provider", "qq", "--phase", "mail"], 0).await;
    assert_eq!(answers[0]["readings"][0]["action"], "rewrite");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_may_have_several_lines_and_words_in_front() {
    let copied = "host smtp.gmail.com said: 535-5.7.8 Username and Password\n535 5.7.8 not accepted.";
    let answers = json(&[copied], 0).await;
    assert_eq!(answers[0]["reply"], "535 5.7.8 Username and Password not accepted.");
    assert_eq!(answers[0]["readings"][0]["cause"], "GM-A1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_says_so() {
    let ran = explain(&["12 \u{1b}[2", "--lang", "en"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("is no reply") && !ran.err.contains('\u{1b}'), "{}", ran.err);
    for (arguments, legal) in [
        (&["550 x", "--provider", "qqq"][..], "163-enterprise"),
        (&["550 x", "--phase", "body"][..], "starttls"),
        (&[][..], "REPLY"),
    ] {
        let ran = explain(arguments).await;
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(legal), "{}", ran.err);
    }
    // Whatever the reply holds, nothing but text reaches the terminal.
    let ran = explain(&["550 \u{1b}[31mred", "--lang", "en"]).await;
    assert!(!ran.out.contains('\u{1b}'), "{:?}", ran.out);
}

#[test]
fn every_group_has_rows_and_every_preset_a_group() {
    for group in Group::ALL {
        assert!(rows().iter().any(|row| row.group == group.word()), "{group:?}");
        // What is said to a token is the same at every provider.
        let of_preset = |name| preset(name).is_some_and(|preset| preset.group == group);
        assert!(group == Group::Oauth || names().any(of_preset), "{group:?}");
    }
}

#[test]
fn the_manual_has_every_preset() {
    let manual = include_str!("../../docs/operations.md");
    for preset in names().filter_map(preset) {
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{}` | {} |", preset.name, preset.title)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/operations.md", preset.name));
        let host = preset.hosts.first().map_or("yours", String::as_str);
        assert!(row.contains(&format!("| {host} |")), "{row}");
        let budget = preset.budget;
        for (windows, what) in [(budget.messages, 5), (budget.recipients, 6), (budget.logins, 7)] {
            let cell = row.split('|').nth(what).unwrap().trim();
            for (figure, unit) in [(windows.minute, "min"), (windows.hour, "h"), (windows.day, "d")] {
                let Some(figure) = figure else { continue };
                assert!(cell.split(", ").any(|one| one == format!("{figure}/{unit}")), "{row}");
            }
        }
    }
}

/// A site whose account is one of `preset`, with a running relay.
async fn relay_for(name: &str, preset: &str) -> (Sandbox, Site, Program) {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, "");
    let settings = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, settings.replace("provider = \"qq\"", &format!("provider = \"{preset}\""))).unwrap();
    let relay = site.start().await;
    (sandbox, site, relay)
}

async fn send(relay: &Program, subject: &str) {
    let reply = Courier::connect(relay.door()).await.unwrap().send(&letter(subject, 500)).await.unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
}

/// NE-Q2: a daily limit that calls itself permanent. It bounced while only Tencent's words were known.
#[tokio::test(flavor = "multi_thread")]
async fn a_daily_limit_with_554_waits_and_does_not_bounce() {
    let (sandbox, site, relay) = relay_for("netease-limit", "163").await;
    let limit = b"554 5.5.0 MI:STC .For more information, please visit xxxxxx\r\n".to_vec();
    sandbox.fault(Fault::forever(Stage::FinalDot, What::Reply(limit)));
    send(&relay, "one").await;
    let cooling = relay.event("account_cooling").await;
    assert_eq!(field_of(&cooling, "cause").as_deref(), Some("NE-Q2"), "{cooling}");
    relay.event("waiting").await;
    assert_eq!((site.depth(&["waiting"]).await, site.depth(&["failed"]).await), (1, 0));
    assert_eq!(relay.told("failed"), Vec::<String>::new());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_nobody_knows_is_logged_once_for_each_wording() {
    let (sandbox, _site, relay) = relay_for("unknown-reply", "qq").await;
    for number in [1, 2] {
        let words = format!("550 5.9.9 The moon is full for message {number}\r\n");
        sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(words.into_bytes())));
        send(&relay, "two").await;
        relay.line("each refusal", |_| (relay.told("deferred").len() >= number).then_some(())).await;
    }
    let unknown = relay.told("unknown_reply");
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(field_of(&unknown[0], "account").as_deref(), Some("office"));
    assert_eq!(field_of(&unknown[0], "phase").as_deref(), Some("data"));
    assert!(unknown[0].contains("550 5.9.9 The moon is full"), "{unknown:?}");
    relay.stop().await;
}
