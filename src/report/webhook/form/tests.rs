//! The bodies as their vendors read them.

use super::*;
use crate::message::notice::alarm::Remedy;

fn alarm(reply: &str) -> Alarm {
    Alarm {
        kind: Kind::Paused,
        again: false,
        account: "office".to_owned(),
        provider: "qq".to_owned(),
        address: "10000@qq.com".to_owned(),
        since: "2026-11-21T18:00:00.123+08:00".to_owned(),
        cause: "QQ-A3".to_owned(),
        reply: reply.to_owned(),
        remedy: Some(Remedy { en: "Wait a quarter of an hour.".to_owned(), zh: "请等待十五分钟。".to_owned() }),
        waiting: 12,
        hostname: "relay.lan".to_owned(),
    }
}

fn read(format: Format, language: Language, alarm: &Alarm) -> Value {
    serde_json::from_slice(&body(format, language, alarm, None)).unwrap()
}

#[test]
fn every_vendor_gets_its_own_form() {
    let alarm = alarm("535 Login fail.");
    let text = |format| {
        let value = read(format, Language::Both, &alarm);
        let (path, shape) = match format {
            Format::Json => ("/text", None),
            Format::Wecom | Format::Dingtalk => {
                ("/text/content", Some(json!({"msgtype": "text", "text": {"content": ""}})))
            }
            Format::Feishu => ("/content/text", Some(json!({"msg_type": "text", "content": {"text": ""}}))),
            Format::Slack => ("/text", Some(json!({"text": ""}))),
        };
        let text = value.pointer(path).unwrap().as_str().unwrap().to_owned();
        if let Some(mut shape) = shape {
            *shape.pointer_mut(path).unwrap() = Value::from(text.as_str());
            assert_eq!(value, shape);
        }
        text
    };
    for format in Format::ALL {
        let text = text(format);
        assert!(text.starts_with("Yizhan 驿站: account office cannot send 账号 office 无法发信\n\n"), "{text}");
        for part in ["535 Login fail.", "Wait a quarter of an hour.", "请等待十五分钟。", "12", "relay.lan"] {
            assert!(text.contains(part), "{}: {part}: {text}", format.name());
        }
        assert_eq!(Format::parse(format.name()), Some(format));
    }
    assert_eq!(Format::parse("teams"), None);
}

#[test]
fn a_program_gets_every_fact() {
    let mut alarm = alarm("535 \u{1b}x");
    let value = read(Format::Json, Language::En, &alarm);
    for (key, expected) in [
        ("event", json!("account_paused")),
        ("again", json!(false)),
        ("account", json!("office")),
        ("provider", json!("qq")),
        ("address", json!("10000@qq.com")),
        ("since", json!("2026-11-21T18:00:00.123+08:00")),
        ("until", Value::Null),
        ("cause", json!("QQ-A3")),
        ("reply", json!("535 \u{1b}x")),
        ("remedy", json!({"en": "Wait a quarter of an hour.", "zh": "请等待十五分钟。"})),
        ("waiting", json!(12)),
        ("failed", Value::Null),
        ("hostname", json!("relay.lan")),
        ("title", json!("Yizhan 驿站: account office cannot send")),
    ] {
        assert_eq!(value[key], expected, "{key}");
    }
    alarm.kind = Kind::Cooling { until: "2026-11-21T19:00:00.000+08:00".to_owned() };
    assert_eq!(read(Format::Json, Language::En, &alarm)["until"], json!("2026-11-21T19:00:00.000+08:00"));
    alarm.kind = Kind::Failed { mails: 31 };
    assert_eq!(read(Format::Json, Language::En, &alarm)["failed"], json!(31));
}

#[test]
fn no_text_is_longer_than_the_vendor_takes() {
    for filler in ["x", "驿", "𝄞", "<&>"] {
        for length in [0, 100, 1000, 5000] {
            let mut alarm = alarm(&filler.repeat(length));
            alarm.remedy = Some(Remedy { en: filler.repeat(length), zh: filler.repeat(length) });
            for format in Format::ALL {
                let text = text(format, Language::Both, &alarm);
                assert!(text.len() <= format.longest(), "{} {length} {}", format.name(), text.len());
                assert!(text.starts_with("Yizhan 驿站: account office"));
            }
        }
    }
    // The provider's long words make room for the rest before anything is cut off at the end.
    let wecom = text(Format::Wecom, Language::Both, &alarm(&"535 登录失败 ".repeat(300)));
    assert!(wecom.ends_with("原因代码：QQ-A3") && wecom.len() <= 2048, "{wecom}");
    assert_eq!(
        (cut("驿站驿站", 12), cut("驿站驿站", 11), cut("驿站", 2)),
        ("驿站驿站".to_owned(), "驿站…".to_owned(), "…".to_owned())
    );
}

#[test]
fn the_words_of_others_call_nobody() {
    let alarm = alarm("550 <!everyone> <at user_id=\"all\">all</at> <@U1> & co");
    assert!(text(Format::Slack, Language::En, &alarm).contains("550 &lt;!everyone&gt; &lt;at"));
    for format in [Format::Wecom, Format::Dingtalk, Format::Feishu] {
        let text = text(format, Language::En, &alarm);
        assert!(!text.contains(['<', '>']), "{text}");
    }
}
