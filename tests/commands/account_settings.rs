//! Settings that say how accounts are used: budgets, proxies, routes, lanes, own rows of the reply catalogue, alarms.
//!
//! Good ones; broken ones are in `tests/bad_config/`. What stands for everything else is in `tests/commands/settings.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use yizhan::config::{FileSource, Loaded, Overrides, Sources, load};
use yizhan::language::Language;
use yizhan::mail::Lane;
use yizhan::net::proxy::Proxy;
use yizhan::provider::{UserRow, Windows};
use yizhan::report::NoticeTo;
use yizhan::report::webhook::Format;
use yizhan::route::{Pattern, Rule};
use yizhan::secret::SecretSource;

const ACCOUNTS: &str = "[account.office]\nprovider = \"qq\"\nuser = \"10000@qq.com\"\nsecret = { env = \"CODE\" }\n\
    [account.backup]\nprovider = \"exmail\"\nuser = \"a@example.com\"\nsecret = { env = \"CODE\" }\n";

fn good(text: &str, env: &[(&str, &str)]) -> Loaded {
    let mut all = BTreeMap::from([("HOME".to_owned(), "/".to_owned()), ("CODE".to_owned(), "x".to_owned())]);
    all.extend(env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    let sources = Sources {
        file: FileSource::Text { name: "yizhan.toml".into(), text: text.to_owned() },
        env: all,
        overrides: Overrides::default(),
        machine: "relay-1".to_owned(),
        can_ask: false,
    };
    load(sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is shown is a settings file that says the same.
fn shown_again(loaded: &Loaded, env: &[(&str, &str)]) -> String {
    let text = loaded.effective();
    assert_eq!(good(&text, env).settings, loaded.settings, "{text}");
    text
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

#[test]
fn a_budget_says_what_it_says_and_leaves_the_rest_to_the_preset() {
    let file = format!(
        "{ACCOUNTS}[account.office.budget]\nmessages_per_minute = 12\nmessages_per_day = 1000\nrecipients_per_hour = 99\n\
         logins_per_hour = 19\nconnections = 2\n"
    );
    let env = [("YIZHAN__ACCOUNT__BACKUP__BUDGET__LOGINS_PER_MINUTE", "1")];
    let loaded = good(&file, &env);
    let [office, backup] = &loaded.settings.accounts[..] else { panic!("{loaded:?}") };
    let windows = |minute, hour, day| Windows { minute, hour, day };
    assert_eq!(office.budget.messages, windows(Some(12), None, Some(1000)));
    assert_eq!(office.budget.recipients, windows(None, Some(99), office.preset.budget.recipients.day));
    assert_eq!(office.budget.logins, windows(None, Some(19), None));
    assert_eq!(office.connections, 2);
    assert_eq!(backup.budget.messages, backup.preset.budget.messages);
    assert_eq!(backup.budget.logins, Windows { minute: Some(1), ..backup.preset.budget.logins });
    assert_eq!(backup.connections, backup.preset.connections);
    let text = shown_again(&loaded, &env);
    assert!(text.contains("budget.messages_per_minute = 12  # yizhan.toml:10\n"), "{text}");
}

#[test]
fn a_proxy_is_taken_with_its_log_in_and_shown_without() {
    let url = "socks5://relay:hunter2@proxy.lan:1080";
    let loaded = good(&ACCOUNTS.replacen("[account.backup]", &format!("proxy = \"{url}\"\n[account.backup]"), 1), &[]);
    assert_eq!(loaded.settings.accounts[0].proxy, Proxy::parse(url).ok());
    assert_eq!(loaded.settings.accounts[1].proxy, None);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("$YIZHAN__ACCOUNT__OFFICE__PROXY keeps it apart"), "{:?}", loaded.warnings);
    let seen = format!("{loaded:?}{}", loaded.effective());
    assert!(
        seen.contains("proxy = \"socks5://[secret]@proxy.lan:1080\"  # yizhan.toml:5") && !seen.contains("hunter2")
    );
    // From the environment there is nothing to warn about, and without a log-in nothing to hide.
    let loaded = good(ACCOUNTS, &[("YIZHAN__ACCOUNT__OFFICE__PROXY", url)]);
    assert!(loaded.warnings.is_empty() && loaded.settings.accounts[0].proxy.is_some());
    let plain = good(ACCOUNTS, &[("YIZHAN__ACCOUNT__BACKUP__PROXY", "http://127.0.0.1:3128")]);
    assert!(
        shown_again(&plain, &[]).contains("proxy = \"http://127.0.0.1:3128\"  # $YIZHAN__ACCOUNT__BACKUP__PROXY\n")
    );
}

#[test]
fn routes_keep_their_order() {
    let file = format!(
        "{ACCOUNTS}[client.scanner]\nfrom = [\"192.168.1.20\"]\n\
         [[route]]\nclient = \"scanner\"\nrecipient = [\"*@example.com\", \"boss@example.org\"]\naccount = \"backup\"\n\
         [[route]]\nsender = \"*@alarm.lan\"\naccount = [\"office\", \"backup\"]\nspread = true\n\
         [[route]]\naccount = \"office\"\n"
    );
    let loaded = good(&file, &[]);
    let route = |clients: &[&str], senders: &[&str], recipients: &[&str], accounts: &[&str], spread| Rule {
        clients: texts(clients),
        senders: patterns(senders),
        recipients: patterns(recipients),
        accounts: texts(accounts),
        spread,
    };
    let first = route(&["scanner"], &[], &["*@example.com", "boss@example.org"], &["backup"], false);
    let second = route(&[], &["*@alarm.lan"], &[], &["office", "backup"], true);
    assert_eq!(loaded.settings.routes, [first, second.clone(), route(&[], &[], &[], &["office"], false)]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let text = shown_again(&loaded, &[]);
    assert!(text.contains("[[route]]\nsender = \"*@alarm.lan\"  # yizhan.toml:16\n"), "{text}");

    // The environment changes a row, or adds one; by number, so that the tenth comes after the second.
    let env = [
        ("YIZHAN__ROUTE__0__ACCOUNT", "office"),
        ("YIZHAN__ROUTE__10__ACCOUNT", "backup,office"),
        ("YIZHAN__ROUTE__10__SPREAD", "true"),
        ("YIZHAN__ROUTE__9__SENDER", "a@, *@b.lan"),
        ("YIZHAN__ROUTE__9__ACCOUNT", "backup"),
    ];
    let loaded = good(&file, &env);
    let [zero, one, _, nine, ten] = &loaded.settings.routes[..] else { panic!("{loaded:?}") };
    assert_eq!((zero.clients.len(), zero.accounts.as_slice()), (1, &texts(&["office"])[..]));
    assert_eq!(one, &second);
    assert_eq!(nine, &route(&[], &["a@", "*@b.lan"], &[], &["backup"], false));
    assert_eq!(ten, &route(&[], &[], &[], &["backup", "office"], true));
    assert_eq!(
        loaded.warnings,
        ["route.9 ($YIZHAN__ROUTE__9__ACCOUNT): it is never used, because route.2 fits every mail"]
    );
    assert_eq!(loaded.origins["route.0.account"], "$YIZHAN__ROUTE__0__ACCOUNT");
    shown_again(&loaded, &[]);
}

#[test]
fn one_account_of_the_environment_can_be_routed_to() {
    let env = [
        ("YIZHAN_PROVIDER", "qq"),
        ("YIZHAN_USER", "10000@qq.com"),
        ("YIZHAN_SECRET", "x"),
        ("YIZHAN__ROUTE__0__ACCOUNT", "main"),
    ];
    assert_eq!(good("", &env).settings.routes[0].accounts, ["main"]);
}

#[test]
fn inline_rows_are_rows() {
    let file = format!("route = [{{ account = \"office\" }}, {{ account = [\"backup\"] }}]\nreply = []\n{ACCOUNTS}");
    let loaded = good(&file, &[]);
    assert_eq!((loaded.settings.routes.len(), loaded.settings.replies.len()), (2, 0));
    assert_eq!(loaded.origins["route.1.account"], "yizhan.toml:1");
}

#[test]
fn clients_have_a_lane() {
    let file = "[client.ups]\nfrom = [\"10.0.0.1\"]\nlane = \"alarm\"\n[client.shop]\nfrom = [\"10.0.0.2\"]\nlane = \"bulk\"\n\
        [client.nas]\nfrom = [\"10.0.0.3\"]\n";
    let loaded = good(file, &[("YIZHAN__CLIENT__SHOP__LANE", "normal")]);
    let lanes: Vec<Lane> = loaded.settings.clients.iter().map(|client| client.lane).collect();
    assert_eq!(lanes, [Lane::Alarm, Lane::Normal, Lane::Normal]);
    shown_again(&loaded, &[]);
}

#[test]
fn own_rows_of_the_reply_catalogue() {
    let file = "[[reply]]\nprovider = \"qq\"\nphase = [\"rcpt\", \"DATA\"]\npattern = '^550\\b.*mailbox is being moved'\n\
        action = \"retry_hour>pause+alert\"\nscope = \"account\"\nremedy = \"搬家中，今晚结束。\"\n\
        [[reply]]\npattern = \"^451\"\naction = \"RETRY_SOON\"\n";
    let loaded = good(file, &[("YIZHAN__REPLY__1__PHASE", "mail,rcpt")]);
    let [moved, soon] = &loaded.settings.replies[..] else { panic!("{loaded:?}") };
    let expected = UserRow {
        provider: Some("qq".to_owned()),
        phase: Some("RCPT,DATA".to_owned()),
        pattern: r"^550\b.*mailbox is being moved".to_owned(),
        action: "RETRY_HOUR>PAUSE+ALERT".to_owned(),
        scope: Some("account".to_owned()),
        remedy: Some("搬家中，今晚结束。".to_owned()),
    };
    assert_eq!(moved, &expected);
    assert_eq!((soon.phase.as_deref(), soon.provider.as_deref()), (Some("MAIL,RCPT"), None));
    assert_eq!(
        good("[[reply]]\npattern = \"x\"\naction = \"OK\"\n", &[]).settings.replies[0].phase.as_deref(),
        Some("ANY")
    );
    shown_again(&loaded, &[]);
}

/// A folder of this test's own.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-of-accounts-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_webhook_is_a_secret_in_any_of_three_places() {
    let url = "https://hooks.example.com/send?key=hunter2";
    let home = folder("webhook");
    fs::write(home.join("url"), format!("{url}\n")).unwrap();
    fs::write(home.join("ca.pem"), "").unwrap();
    let file = |how: &str| format!("[notice]\nwebhook = {how}\n");
    let path = home.join("url").display().to_string();

    let loaded = good(&file(&format!("{{ file = \"{path}\" }}")), &[]);
    assert_eq!(loaded.settings.notice.webhook, Some(SecretSource::File(home.join("url"))));
    assert!(loaded.warnings.is_empty() && shown_again(&loaded, &[]).contains(&path));
    let loaded = good(&file("{ env = \"HOOK\" }"), &[("HOOK", url)]);
    assert_eq!(loaded.settings.notice.webhook, Some(SecretSource::Env("HOOK".into())));
    let loaded = good(&file(&format!("\"{url}\"")), &[]);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(!format!("{loaded:?}{}", loaded.effective()).contains("hunter2"));
    let loaded = good("", &[("YIZHAN__NOTICE__WEBHOOK", url)]);
    assert_eq!(loaded.settings.notice.webhook, Some(SecretSource::Env("YIZHAN__NOTICE__WEBHOOK".into())));
    let loaded = good("", &[("YIZHAN__NOTICE__WEBHOOK__FILE", &path)]);
    assert_eq!(loaded.settings.notice.webhook, Some(SecretSource::File(home.join("url"))));
    // The contract's empty text, and a file that will come.
    let loaded = good(&file("\"\""), &[]);
    assert_eq!((loaded.settings.notice.webhook.clone(), loaded.warnings.len()), (None, 0));
    shown_again(&loaded, &[]);
    let loaded = good(&file("{ file = \"/nonexistent/url\" }"), &[]);
    assert!(loaded.warnings[0].contains("notice.webhook (yizhan.toml:2): the file cannot be read now"));
    // In the clear only at home, and not without a word.
    let loaded = good("", &[("YIZHAN__NOTICE__WEBHOOK", "http://alertmanager:9093/hunter2")]);
    assert!(loaded.warnings[0].contains("carries the token in the clear") && !loaded.warnings[0].contains("hunter2"));
}

#[test]
fn no_message_shows_the_token_of_a_webhook() {
    for written in [
        "webhook = \"hunter2\"",
        "webhook = \"https://hooks.example.com/hunter2\"",
        "webhook = \"http://hooks.example.com/hunter2\"",
        "webhook = [\"https://hooks.example.com/hunter2\"]",
        "webhook = { plain = \"hunter2\" }",
        "webhook = { file = \"hunter2\" }",
        "webhook = { env = \"HOOK\" }",
        "webhook = https://hooks.example.com/hunter2",
        "webhook.x = \"hunter2\"",
        "url = \"hunter2\"",
        "ca = \"https://x:hunter2@y\"",
    ] {
        let sources = Sources {
            file: FileSource::Text { name: "yizhan.toml".into(), text: format!("[notice]\n{written}\n") },
            env: BTreeMap::from([("HOME".to_owned(), "/".to_owned()), ("HOOK".to_owned(), "hunter2".to_owned())]),
            overrides: Overrides::default(),
            machine: "relay-1".to_owned(),
            can_ask: false,
        };
        let seen = match load(sources.clone()) {
            Ok(loaded) => format!("{loaded:?} {}", loaded.effective()),
            Err(problems) => format!("{problems} {problems:?}"),
        };
        // A path is not hidden in what programs see; nothing else may hold it, and no person reads it.
        let seen = seen.replace("File(\"hunter2\")", "");
        assert!(!seen.contains("hunter2") && !format!("{sources:?}").contains("hunter2"), "{written}\n{seen}");
    }
}

#[test]
fn alarms_have_a_form_an_authority_and_a_language() {
    let home = folder("form");
    fs::write(home.join("ca.pem"), "").unwrap();
    let ca = home.join("ca.pem");
    let words = [
        ("json", Format::Json),
        ("wecom", Format::Wecom),
        ("dingtalk", Format::Dingtalk),
        ("feishu", Format::Feishu),
        ("slack", Format::Slack),
    ];
    for (word, format) in words {
        let text = format!("[notice]\nto = \"admin@example.com\"\nformat = \"{word}\"\nca = \"{}\"\n", ca.display());
        let notice = good(&text, &[]).settings.notice;
        assert_eq!((notice.format, notice.ca.as_ref()), (format, Some(&ca)));
        assert!(matches!(notice.to, NoticeTo::Address(_)));
    }
    let none = good("", &[]).settings.notice;
    assert_eq!((none.format, none.ca, none.webhook, none.language), (Format::Json, None, None, Language::En));
    for (word, language) in [("en", Language::En), ("zh", Language::Zh), ("both", Language::Both)] {
        let text = format!("[notice]\nlanguage = \"{word}\"\n");
        assert_eq!(good(&text, &[("LANG", "zh_CN.UTF-8")]).settings.notice.language, language);
    }
}

#[test]
fn the_locale_chooses_the_language() {
    let of = |env: &[(&str, &str)]| {
        let loaded = good("", env);
        (loaded.settings.notice.language, loaded.origins["notice.language"].clone())
    };
    assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), (Language::Zh, "default ($LANG)".to_owned()));
    assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), (Language::En, "default".to_owned()));
    assert_eq!(of(&[("LANG", "zh_TW.UTF-8"), ("LC_ALL", "C")]).0, Language::En);
    assert_eq!(of(&[("LANG", "C"), ("LC_MESSAGES", "zh_CN")]), (Language::Zh, "default ($LC_MESSAGES)".to_owned()));
}
