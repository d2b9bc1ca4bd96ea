//! The rules of the alerts about the whole relay, minute by minute.

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_255_200_000);
const HOOK: OpenChannels = OpenChannels { mail: false, webhook: true };
const SETTINGS: RelayAlarmSettings =
    RelayAlarmSettings { oldest: Duration::from_secs(4 * 3600), failed: 5, disk_free: 1000 };

fn minute(minutes: u64) -> Timestamp {
    START + Duration::from_secs(minutes * 60)
}

fn stuck(mails: u64) -> Option<Stuck> {
    let mails = StuckMails {
        mails,
        more: false,
        id: "0000000010000001".to_owned(),
        client: "printer".to_owned(),
        received: START.rfc3339(),
    };
    Some(Stuck { mails, received: START, reason: "450 later".to_owned() })
}

/// The rule with a clock and a diary of what was sent: minute, fact, and whether it was the all-clear. It is stored and read
/// at every step, as if the relay were restarted all the time.
struct Diary {
    rule: RelayAlarms,
    facts: RelayFacts,
    at: u64,
    sent: Vec<(u64, RelayFact, bool)>,
}

impl Diary {
    fn new() -> Diary {
        let rule = RelayAlarms::new(SETTINGS, RelayAlarmState::default());
        Diary { rule, facts: RelayFacts::default(), at: 0, sent: Vec::new() }
    }

    fn restart(&mut self) {
        let stored = serde_json::to_string(self.rule.state()).unwrap();
        assert!(stored.len() < 8 * 1024, "{}", stored.len());
        self.rule = RelayAlarms::new(SETTINGS, serde_json::from_str(&stored).unwrap());
    }

    fn look(&mut self) {
        self.restart();
        let now = minute(self.at);
        self.rule.found(self.facts.clone(), now);
        for due in self.rule.due(HOOK, now) {
            assert!(self.rule.content(&due).is_some(), "{due:?}");
            self.sent.push((self.at, due.fact, due.due.what == AlertSubject::AllClear));
            self.rule.result(&due, AlertResult::Sent);
        }
    }

    /// Looks every minute, up to `minutes`.
    fn to(&mut self, minutes: u64) -> &mut Self {
        while self.at < minutes {
            self.look();
            self.at += 1;
        }
        self
    }

    fn sent(&mut self) -> Vec<(u64, RelayFact, bool)> {
        std::mem::take(&mut self.sent)
    }
}

#[test]
fn a_message_that_waits_too_long_is_alerted_once_and_cleared_once() {
    let mut diary = Diary::new();
    diary.to(5).facts.oldest = stuck(3);
    diary.to(3000).facts.oldest = None;
    diary.to(4000);
    assert_eq!(diary.sent(), [(5, RelayFact::Oldest, false), (3000, RelayFact::Oldest, true)]);
    let due = DueRelayAlert {
        fact: RelayFact::Oldest,
        due: DueAlert {
            channel: crate::alert_channels::AlertChannel::Webhook,
            what: AlertSubject::Alarm { kind: RelayFact::Oldest, again: false },
            since: START,
            tries: 1,
            first: START,
        },
    };
    assert_eq!(diary.rule.content(&due), None, "it has left");
}

#[test]
fn what_comes_and_goes_is_alerted_once_an_hour_at_most() {
    let mut diary = Diary::new();
    for round in 0..30 {
        diary.facts.oldest = stuck(1);
        diary.to(round * 6 + 3).facts.oldest = None;
        diary.to(round * 6 + 6);
    }
    let sent = diary.sent();
    assert_eq!(sent.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), [0, 3, 60, 63, 120, 123]);
}

#[test]
fn more_damaged_messages_are_alerted_again_and_fewer_are_not() {
    let mut diary = Diary::new();
    for (until, held) in [(100, 1), (200, 1), (300, 3), (400, 2), (500, 3), (510, 4), (600, 5)] {
        diary.facts.held = stuck(held);
        diary.to(until);
    }
    diary.facts.held = None;
    diary.to(700);
    let expected = [(0, false), (200, false), (400, false), (500, false), (560, false), (600, true)];
    assert_eq!(diary.sent(), expected.map(|(at, clear)| (at, RelayFact::Held, clear)));
}

#[test]
fn failures_count_within_an_hour_and_are_over_an_hour_after_they_were_enough() {
    let mut diary = Diary::new();
    // Four an hour are never enough, wherever the hour begins.
    for n in 0..20 {
        diary.rule.failed(1, minute(diary.at));
        diary.to((n + 1) * 15);
    }
    assert_eq!(diary.sent(), []);
    diary.to(400);
    diary.rule.failed(4, minute(400));
    diary.to(459).rule.failed(1, minute(459));
    diary.to(1000);
    // The four count until 459; an hour later it is over.
    assert_eq!(diary.sent(), [(459, RelayFact::Failed, false), (519, RelayFact::Failed, true)]);
    diary.rule.failed(7, minute(1000));
    let due = diary.rule.due(HOOK, minute(1000));
    assert_eq!(diary.rule.content(&due[0]).map(|content| content.kind), Some(Kind::Failed { mails: 7 }));
}

#[test]
fn a_disk_between_the_two_limits_does_not_flap() {
    let mut diary = Diary::new();
    for (until, free) in [(10, 1000), (20, 999), (30, 1099), (40, 999), (50, 1050), (60, 1100), (70, 1001), (200, 999)]
    {
        diary.facts.disk_free = Some(free);
        diary.to(until);
    }
    diary.facts.disk_free = None;
    diary.to(300);
    let expected = [(10, false), (50, true), (70, false)];
    assert_eq!(diary.sent(), expected.map(|(at, clear)| (at, RelayFact::DiskFree, clear)));
}

#[test]
fn panics_make_one_alert_an_hour_that_counts_them() {
    let mut diary = Diary::new();
    let one = |task: &str| Panics { times: 1, task: task.to_owned(), place: "src/x.rs:1:2".to_owned() };
    diary.rule.panicked(one("session"), minute(0));
    diary.to(10).rule.panicked(one("session"), minute(10));
    diary.to(20).rule.panicked(one("delivery"), minute(20));
    diary.to(500);
    assert_eq!(diary.sent(), [(0, RelayFact::Panic, false), (60, RelayFact::Panic, false)]);
    assert_eq!(diary.rule.state().reported, Panics { times: 2, ..one("delivery") });
    // An alert that could not be sent adds up with the next one.
    diary.rule.panicked(one("session"), minute(500));
    let due = diary.rule.due(HOOK, minute(500));
    diary.rule.result(&due[0], AlertResult::Later(minute(590)));
    diary.rule.panicked(one("session"), minute(540));
    diary.rule.due(HOOK, minute(560));
    assert_eq!(diary.rule.state().reported.times, 2);
}

#[test]
fn without_a_channel_an_alert_waits_and_what_is_over_by_then_is_not_sent() {
    let mut rule = RelayAlarms::new(SETTINGS, RelayAlarmState::default());
    let none = OpenChannels::default();
    rule.found(RelayFacts { disk_free: Some(1), oldest: stuck(1), ..RelayFacts::default() }, minute(0));
    assert_eq!((rule.due(none, minute(0)), rule.next(none)), (vec![], None));
    assert_eq!(rule.next(HOOK), Some(START));
    rule.found(RelayFacts { disk_free: Some(1), ..RelayFacts::default() }, minute(9));
    let due = rule.due(HOOK, minute(9));
    assert_eq!(due.iter().map(|due| due.fact).collect::<Vec<_>>(), [RelayFact::DiskFree]);
    rule.result(&due[0], AlertResult::Later(minute(11)));
    assert_eq!((rule.due(HOOK, minute(10)), rule.next(HOOK)), (vec![], Some(minute(11))));
    assert_eq!(rule.due(HOOK, minute(11)).len(), 1);
}

#[test]
fn what_is_turned_off_raises_nothing() {
    let mut rule = RelayAlarms::new(RelayAlarmSettings::default(), RelayAlarmState::default());
    rule.failed(1000, minute(0));
    rule.found(RelayFacts { disk_free: Some(0), ..RelayFacts::default() }, minute(0));
    assert_eq!((rule.due(HOOK, minute(0)), rule.next(HOOK)), (vec![], None));
}

#[test]
fn a_clock_that_is_set_back_silences_nothing() {
    let mut diary = Diary::new();
    diary.at = 10_000;
    diary.facts.disk_free = Some(1);
    diary.rule.failed(5, minute(10_000));
    diary.to(10_010).facts.disk_free = Some(5000);
    diary.look();
    diary.sent();
    diary.at = 0;
    diary.facts.disk_free = Some(1);
    diary.to(100);
    diary.rule.failed(5, minute(diary.at));
    diary.to(300);
    let sent = diary.sent();
    assert!(sent.contains(&(60, RelayFact::DiskFree, false)), "{sent:?}");
    assert!(sent.iter().any(|(_, fact, clear)| *fact == RelayFact::Failed && !clear), "{sent:?}");
}

#[test]
fn an_alert_that_was_given_up_is_sent_a_day_later_or_after_a_restart() {
    let mut rule = RelayAlarms::new(SETTINGS, RelayAlarmState::default());
    let facts = RelayFacts { oldest: stuck(1), ..RelayFacts::default() };
    let mut give_up = |at: u64, restart: bool| {
        if restart {
            rule = RelayAlarms::new(SETTINGS, rule.state().clone());
        }
        rule.found(facts.clone(), minute(at));
        let due = rule.due(HOOK, minute(at));
        due.iter().for_each(|due| rule.result(due, AlertResult::GivenUp));
        due.len()
    };
    let times = [(0, false), (60, false), (1439, false), (1440, false), (1500, false), (1501, true), (1502, false)];
    assert_eq!(times.map(|(at, restart)| give_up(at, restart)), [1, 0, 0, 1, 0, 1, 0]);
}
