//! An account with more than one address: what stays in From, who stands in the envelope, and what `repair` shows of it.
//!
//! A pretended QQ Mail takes the mail, which judges the envelope sender against the log-in and From by its form. The
//! rules of the settings are in `tests/commands/settings.rs`, those of sender rewriting beside the code.

use std::process::Command;

use crate::support::folder::Folder;
use crate::support::office::{Office, USER, field};
use crate::support::program::{finish, yizhan};
use serde_json::Value;
use yizhan::mail::Address;
use yizhan::message::FromPolicy;
use yizhan::provider::preset;
use yizhan::sandbox::SandboxLimits;

const ALIAS: &str = "sales@example.com";

fn mail(from: &str) -> Vec<u8> {
    format!("From: {from}\r\nTo: boss@else.test\r\nSubject: offer\r\n\r\nhello\r\n").into_bytes()
}

async fn office(name: &str) -> Office {
    Office::with(name, SandboxLimits::default(), |settings| {
        settings.accounts[0].aliases = vec![Address::parse(ALIAS).unwrap()];
    })
    .await
}

#[tokio::test]
async fn an_alias_stays_in_from_and_the_login_in_the_envelope() {
    let office = office("alias").await;
    let cases = [
        ("Sales <SALES@Example.com>", "Sales <SALES@Example.com>"),
        ("sales@example.com", "sales@example.com"),
        ("Relay <10000@qq.com>", "Relay <10000@qq.com>"),
        ("Printer <printer@lan.test>", "Printer <10000@qq.com>"),
    ];
    for (n, (from, sent)) in cases.into_iter().enumerate() {
        office.send(&["boss@else.test"], &mail(from)).await;
        let received = office.received(n + 1).await;
        let last = &received[n];
        assert_eq!(last.from, USER, "the provider takes no other sender: {from}");
        assert_eq!(field(&last.data, "From").as_deref(), Some(sent));
        let moved = field(&last.data, "X-Original-From");
        assert_eq!(moved.is_some(), from.starts_with("Printer"), "{from}: {moved:?}");
        assert_eq!(field(&last.data, "Reply-To").is_some(), from.starts_with("Printer"), "{from}");
    }
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().refused, 0);
}

#[tokio::test]
async fn without_an_alias_the_same_mail_goes_as_the_login() {
    let office = Office::open("no-alias").await;
    office.send(&["boss@else.test"], &mail("Sales <sales@example.com>")).await;
    let received = office.received(1).await;
    assert_eq!(field(&received[0].data, "From").as_deref(), Some("Sales <10000@qq.com>"));
    assert_eq!(field(&received[0].data, "Reply-To").as_deref(), Some("Sales <sales@example.com>"));
}

#[tokio::test]
async fn the_policy_is_the_presets_until_somebody_names_an_alias() {
    let office = office("alias-policy").await;
    let mut account = office.settings.accounts[0].clone();
    assert_eq!(account.from_policy(), FromPolicy::MayBeAlias);
    account.preset = preset("custom").unwrap();
    assert_eq!(account.from_policy(), FromPolicy::MayBeAlias, "the owner's word goes before the preset's");
    account.aliases.clear();
    assert_eq!(account.from_policy(), FromPolicy::Free);
    account.preset = preset("qq").unwrap();
    assert_eq!(account.from_policy(), FromPolicy::MustEqualLogin);
}

/// `yizhan repair - --json` with these settings.
async fn repaired(folder: &Folder, settings: &str, more: &[&str], from: &str) -> Value {
    let config = folder.file("yizhan.toml", settings).display().to_string();
    let file = folder.file("mail.eml", mail(from)).display().to_string();
    let mut command: Command = yizhan(["repair", &file, "--json", "--config", &config]);
    command.args(more);
    let text = finish(command).await.with_code(0);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn from_line(report: &Value) -> &str {
    let header = report["after"]["header"].as_array().unwrap();
    header.iter().find_map(|line| line["text"].as_str().unwrap().strip_prefix("From: ")).unwrap().trim_end()
}

#[tokio::test]
async fn repair_shows_the_rewritten_sender_of_each_account() {
    let folder = Folder::new("alias-repair");
    let settings = "[account.office]\nprovider = \"qq\"\nuser = \"office@qq.com\"\naliases = [\"sales@example.com\"]\n\
        [account.second]\nprovider = \"qq\"\nuser = \"second@qq.com\"\n\
        [account.cloud]\nprovider = \"custom\"\nhost = \"mail.example.com\"\nuser = \"apikey\"\n\
        address = \"relay@example.com\"\naliases = [\"news@example.com\"]\n";
    let from = "Sales <sales@example.com>";
    let report = repaired(&folder, settings, &["--account", "office"], from).await;
    assert_eq!((from_line(&report), report["sender_rewritten"].as_bool()), (from, Some(false)));
    let report = repaired(&folder, settings, &["--account", "second"], from).await;
    assert_eq!((from_line(&report), report["sender_rewritten"].as_bool()), ("Sales <second@qq.com>", Some(true)));
    // The log-in name is no address; the mailbox that was named is the sender.
    let report = repaired(&folder, settings, &["--account", "cloud"], from).await;
    assert_eq!(from_line(&report), "Sales <relay@example.com>");
    let report = repaired(&folder, settings, &["--account", "cloud"], "News <news@example.com>").await;
    assert_eq!(from_line(&report), "News <news@example.com>");
}
