//! The tables of presets: complete, honest about guesses, and what the most used ones say.

use super::*;
use crate::provider::{DayWindow, Windows};

/// Every provider that has a preset, in the order of the alphabet.
const ALL: [&str; 44] = [
    "126",
    "139",
    "163",
    "163-enterprise",
    "189",
    "aliyun",
    "aliyun-enterprise",
    "aol",
    "brevo",
    "cpanel",
    "custom",
    "directmail",
    "exmail",
    "exmail-abroad",
    "feishu",
    "foxmail",
    "gmail",
    "gmx",
    "godaddy",
    "hostinger",
    "icloud",
    "lark",
    "mailgun",
    "mailru",
    "mailtrap",
    "mandrill",
    "office365",
    "orange",
    "outlook",
    "ovh",
    "purelymail",
    "qq",
    "sendcloud",
    "sendgrid",
    "ses",
    "sina",
    "sohu",
    "tencent-ses",
    "workspace-relay",
    "yahoo",
    "yahoo-japan",
    "yandex",
    "yeah",
    "zoho",
];

#[test]
fn the_tables_parse_and_are_complete() {
    assert_eq!(names().collect::<Vec<_>>(), ALL);
    for name in names() {
        let preset = preset(name).unwrap();
        assert_eq!(preset.name, name);
        assert!(!preset.title.is_empty() && !preset.title_zh.is_empty(), "{name}");
        assert!(!preset.endpoints.is_empty() && !preset.login.is_empty(), "{name}");
        assert!(preset.endpoints.iter().all(|p| p.port != 0 && p.port != 25), "{name}");
        assert!(preset.recipients > 0 && preset.connections > 0 && preset.messages_per_connection > 0, "{name}");
        assert!(preset.idle_seconds > 0 && preset.connection_age_seconds > preset.idle_seconds, "{name}");
        assert_eq!(preset.hosts.is_empty(), ["cpanel", "custom", "ses"].contains(&name), "{name}");
        assert_eq!(preset.note.is_some(), preset.note_zh.is_some(), "{name}");
        // Only a server of one's own needs no word of explanation.
        assert_eq!(preset.note.is_some(), name != "custom", "{name}");
    }
}

#[test]
fn no_figure_of_a_budget_is_nothing_and_short_windows_fit_into_long_ones() {
    for preset in names().map(|name| preset(name).unwrap()) {
        let PresetBudget { messages, recipients, logins } = preset.budget;
        for Windows { minute, hour, day } in [messages, recipients, logins] {
            let figures: Vec<u32> = [minute, hour, day].into_iter().flatten().collect();
            assert!(figures.iter().all(|figure| *figure > 0), "{}", preset.name);
            assert!(figures.is_sorted(), "{}: {figures:?}", preset.name);
        }
        assert_eq!(logins.is_unlimited(), preset.name == "custom", "{}", preset.name);
        assert!(preset.messages_per_second != Some(0), "{}", preset.name);
        // One message to as many recipients as fit must fit into the budget.
        let smallest = [recipients.minute, recipients.hour, recipients.day].into_iter().flatten().min();
        assert!(smallest.is_none_or(|figure| figure as usize >= preset.recipients), "{}", preset.name);
        // A machine without a time zone database (an empty container) must know when the day ends, too.
        let calendar = matches!(preset.day, DayWindow::Calendar(_));
        assert_eq!(preset.day.hours_east().is_some(), calendar, "{}", preset.name);
    }
}

#[test]
fn qq_is_met_on_465_with_login_first_and_slowly() {
    let qq = preset("qq").unwrap();
    let host = "smtp.qq.com".to_owned();
    assert_eq!(
        qq.endpoints(&qq.hosts[0]),
        [
            Endpoint { host: host.clone(), port: 465, tls: Tls::Implicit },
            Endpoint { host, port: 587, tls: Tls::StartTls }
        ]
    );
    assert_eq!(qq.login, [Mechanism::Login, Mechanism::Plain]);
    assert_eq!((qq.from_policy, qq.never_rset, qq.size_limit), (FromPolicy::Login, true, Some(73_400_320)));
    for name in ["qq", "foxmail"] {
        let preset = preset(name).unwrap();
        let PresetBudget { messages, recipients, logins } = preset.budget;
        assert_eq!(messages, Windows { minute: Some(15), hour: None, day: None });
        assert_eq!(recipients, Windows { minute: None, hour: Some(100), day: Some(500) });
        assert_eq!(logins, Windows { minute: None, hour: Some(20), day: None });
        assert_eq!((preset.connections, &preset.day), (1, &DayWindow::Calendar("Asia/Shanghai".to_owned())));
    }
}

#[test]
fn what_a_provider_publishes_is_what_the_table_says() {
    let figure = |name: &str| preset(name).unwrap();
    assert_eq!((figure("gmail").size_limit, figure("gmail").recipients), (Some(35_882_577), 100));
    assert_eq!(figure("gmail").budget.recipients.day, Some(500));
    assert_eq!(figure("office365").budget.messages.minute, Some(30));
    assert!(figure("office365").connections < 3);
    assert_eq!(figure("office365").endpoints("h")[0].tls, Tls::StartTls);
    assert_eq!((figure("icloud").recipients, figure("icloud").budget.messages.day), (500, Some(1000)));
    assert_eq!((figure("tencent-ses").messages_per_second, figure("tencent-ses").recipients), (Some(20), 1));
    assert_eq!(figure("tencent-ses").size_limit, Some(10_000_000));
    assert_eq!((figure("yandex").recipients, figure("yandex").budget.recipients.day), (35, Some(500)));
    assert_eq!((figure("ses").messages_per_second, figure("ses").recipients), (Some(1), 50));
    assert!(figure("outlook").note.as_ref().unwrap().contains("OAuth2"));
}

#[test]
fn custom_is_held_back_by_nothing() {
    let custom = preset("custom").unwrap();
    assert_eq!((custom.budget, custom.messages_per_second), (PresetBudget::default(), None));
    assert!(custom.announce_next && custom.messages_per_connection == 500);
}

#[test]
fn the_nearest_name_is_the_group() {
    assert_eq!(Group::named("foxmail"), Some(Group::Tencent));
    assert_eq!(Group::named("netease"), Some(Group::Netease));
    assert_eq!(Group::named("custom"), Some(Group::Generic));
    assert_eq!(Group::named("nobody"), None);
    for group in Group::ALL {
        // Where a preset has the name of a group, it belongs to it.
        assert_eq!(Group::named(group.word()), Some(group));
        let read: BTreeMap<String, Group> = toml::from_str(&format!("group = \"{}\"", group.word())).unwrap();
        assert_eq!(read["group"], group);
    }
}

#[test]
fn names_are_exact() {
    assert!(preset("QQ").is_none() && preset("").is_none());
}

#[test]
fn words_are_those_of_the_tables() {
    let tables = TABLES.concat();
    for tls in [Tls::Implicit, Tls::StartTls] {
        assert!(tables.contains(&format!("tls = \"{}\"", tls.word())));
    }
    for mechanism in [Mechanism::Login, Mechanism::Plain] {
        assert!(tables.contains(&format!("\"{}\"", mechanism.word())));
    }
}
