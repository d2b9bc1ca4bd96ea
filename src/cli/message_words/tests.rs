//! The words for a message, in both languages; and a message for the tests of the commands.

use super::*;

pub(in crate::cli) const NOW: Timestamp = Timestamp::from_millis(1_796_083_200_000);

pub(in crate::cli) fn message(state: &str) -> MessageStatus {
    let at = |minutes: u64| (NOW - std::time::Duration::from_secs(minutes * 60)).rfc3339();
    serde_json::from_value(serde_json::json!({
        "id": "0mwqqovrlykg0q2v", "state": state, "received": at(7), "next": null, "tries": 0, "uncertain": 0,
        "account": "office", "client": "scanner", "from": "scan@office.lan",
        "recipients": [{"to": "boss@example.com", "outcome": "open", "reply": null}],
        "size": 1234, "repairs": [], "notice": false, "subject": "扫描件 7"
    }))
    .unwrap()
}

fn budget() -> WaitReason {
    let (unit, window) = ("messages".into(), "hour".into());
    WaitReason::Budget { account: "office".into(), unit, window, limit: 100, kept: 0 }
}

#[test]
fn every_state_has_words_in_both_languages() {
    let soon = Some((NOW + std::time::Duration::from_secs(60)).rfc3339());
    let clock = short_time(soon.as_deref().unwrap(), NOW);
    for (state, en, zh) in [
        ("queued", "queued (budget of office)".to_owned(), "排队（office 的额度）".to_owned()),
        ("sending", "being sent".to_owned(), "发送中".to_owned()),
        ("waiting", format!("waits until {clock} (budget of office)"), format!("等到 {clock}（office 的额度）")),
        ("deferred", format!("deferred until {clock}"), format!("推迟到 {clock}")),
        ("held", "held by an operator: ask\\u{1b} Anna".to_owned(), "被操作员扣留：ask\\u{1b} Anna".to_owned()),
        ("delivered", format!("delivered {clock}"), format!("已送达 {clock}")),
        ("failed", format!("failed {clock}"), format!("失败 {clock}")),
    ] {
        let mut message = message(state);
        message.next.clone_from(&soon);
        message.finished.clone_from(&soon);
        message.reason = Some(budget());
        (message.held, message.trouble) = (Some("operator".into()), Some("ask\u{1b} Anna".into()));
        assert_eq!(state_words(&message, NOW, Lang::En), en);
        assert_eq!(state_words(&message, NOW, Lang::Zh), zh);
    }
    assert_eq!(state_words(&message("waiting"), NOW, Lang::En), "waits for an operator");
    assert_eq!(state_words(&message("from-2030"), NOW, Lang::En), "from-2030");
}

#[test]
fn ages_and_times_are_short() {
    let ago = |seconds| (NOW - std::time::Duration::from_secs(seconds)).rfc3339();
    for (seconds, text) in [(5, "5s"), (59 * 60, "59m"), (47 * 3600, "47h"), (48 * 3600, "2d"), (400 * 86_400, "400d")]
    {
        assert_eq!(age(&ago(seconds), NOW), text);
    }
    assert_eq!(age("never", NOW), "?");
    assert_eq!(short_time("2025-11-21T18:00:00.000+08:00", NOW), "2025-11-21 18:00");
    assert_eq!(short_time("2026-01-21T18:00:00.000+08:00", NOW), "01-21 18:00");
    assert_eq!(short_time("x", NOW), "x");
}

#[test]
fn the_stable_line_keeps_its_words() {
    assert_eq!(
        stable_line(&message("held"), NOW, Lang::En),
        "0mwqqovrlykg0q2v held        1.2 KiB tries=0 next=- age=7m lane= pool=- client=scanner from=<scan@office.lan> \
         to=boss@example.com"
    );
}
