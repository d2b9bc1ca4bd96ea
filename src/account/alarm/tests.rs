//! The rules of the alarm, with the real figures, minute by minute.

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_255_200_000);
const BOTH: OpenChannels = OpenChannels { mail: true, webhook: true };
const HOOK: OpenChannels = OpenChannels { mail: false, webhook: true };
const NONE: OpenChannels = OpenChannels { mail: false, webhook: false };

fn minute(minutes: u64) -> Timestamp {
    START + Duration::from_secs(minutes * 60)
}

/// A state with a clock and a diary of what was told over the webhook, minute and what. It is stored and read at every
/// step, as if the relay were restarted all the time.
#[derive(Default)]
struct Diary {
    state: AlarmState,
    at: u64,
    told: Vec<(u64, AlarmSubject)>,
}

impl Diary {
    fn to(&mut self, minutes: u64) -> &mut Self {
        while self.at < minutes {
            self.look();
            self.at += 1;
        }
        self
    }

    fn look(&mut self) {
        let stored = serde_json::to_string(&self.state).unwrap();
        self.state = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&self.state).unwrap(), stored);
        for tell in self.state.due(HOOK, minute(self.at)) {
            assert_eq!((tell.channel, tell.tries), (AlarmChannel::Webhook, 1));
            self.told.push((self.at, tell.what));
            self.state.result(&tell, AlarmResult::Sent);
        }
    }

    fn on(&mut self, event: AlarmEvent) -> &mut Self {
        self.state.on(event, minute(self.at));
        self.look();
        self
    }

    fn told(&mut self) -> Vec<(u64, AlarmSubject)> {
        std::mem::take(&mut self.told)
    }
}

const PAUSED: AlarmSubject = AlarmSubject::Alarm { kind: AlarmKind::Paused, again: false };
const COOLING: AlarmSubject = AlarmSubject::Alarm { kind: AlarmKind::Cooling, again: false };
const QUIET: AlarmEvent = AlarmEvent::Cooling { alert: false };
const LOUD: AlarmEvent = AlarmEvent::Cooling { alert: true };

#[test]
fn a_paused_account_is_told_at_once_and_once_a_day() {
    let mut diary = Diary::default();
    diary.on(AlarmEvent::Paused).to(3).on(AlarmEvent::Paused).to(3 * 1440 + 10);
    let again = AlarmSubject::Alarm { kind: AlarmKind::Paused, again: true };
    assert_eq!(diary.told(), [(0, PAUSED), (1440, again), (2880, again), (4320, again)]);
    diary.on(AlarmEvent::Ready).on(AlarmEvent::Ready).to(6000);
    assert_eq!(diary.told(), [(4330, AlarmSubject::AllClear)]);
}

#[test]
fn a_provider_out_of_reach_is_told_after_an_hour_and_what_is_worse_at_once() {
    let mut diary = Diary::default();
    let told = AlarmSubject::Alarm { kind: AlarmKind::Unreachable, again: false };
    diary.on(AlarmEvent::Unreachable).to(59).on(AlarmEvent::Ready).to(100);
    assert_eq!(diary.told(), [], "the line was back before anybody had to know");
    diary.on(AlarmEvent::Unreachable).to(159).on(AlarmEvent::Unreachable).to(170);
    assert_eq!(diary.told(), [], "it was not tried since: it may be back");
    assert_eq!(diary.state.next(HOOK, minute(170)), None);
    diary.on(AlarmEvent::Unreachable).to(200);
    assert_eq!(diary.told(), [(170, told)]);
    diary.on(AlarmEvent::Paused);
    assert_eq!(diary.told(), [(200, PAUSED)], "somebody answered, and refused");
    diary.on(AlarmEvent::Ready);
    assert_eq!(diary.told(), [(200, AlarmSubject::AllClear)]);
}

#[test]
fn a_resting_account_is_told_after_an_hour_or_when_the_catalogue_says_so() {
    let mut diary = Diary::default();
    diary.on(QUIET).to(29).on(AlarmEvent::Ready).to(100);
    assert_eq!(diary.told(), [], "it was back before anybody had to know");
    diary.on(QUIET).to(115).on(QUIET).to(129);
    assert_eq!(diary.told(), []);
    diary.to(200);
    assert_eq!(diary.told(), [(160, COOLING)]);
    diary.on(AlarmEvent::Ready);
    assert_eq!(diary.told(), [(200, AlarmSubject::AllClear)]);
    diary.to(300).on(QUIET).to(305).on(LOUD).to(306);
    assert_eq!(diary.told(), [(305, COOLING)]);
}

#[test]
fn what_becomes_worse_is_told_once_more() {
    let mut diary = Diary::default();
    diary
        .on(LOUD)
        .to(20)
        .on(AlarmEvent::Paused)
        .to(40)
        .on(LOUD)
        .to(60)
        .on(AlarmEvent::Paused)
        .to(80)
        .on(AlarmEvent::Ready)
        .to(90);
    assert_eq!(diary.told(), [(0, COOLING), (20, PAUSED), (80, AlarmSubject::AllClear)]);
}

#[test]
fn a_flapping_account_makes_one_alarm() {
    let mut diary = Diary::default();
    for outage in 0..5 {
        diary.to(outage * 12).on(LOUD).to(outage * 12 + 4).on(AlarmEvent::Ready);
    }
    diary.to(59);
    assert_eq!(diary.told(), [(0, COOLING), (4, AlarmSubject::AllClear)], "five outages");
    // The next one lasts: it is told when the hour is over, not lost.
    diary.on(LOUD).to(200);
    assert_eq!(diary.told(), [(60, COOLING)]);
    // A day of flapping, every six minutes: no more than one alarm an hour.
    let mut diary = Diary::default();
    for outage in 0..240 {
        diary.to(outage * 6).on(AlarmEvent::Paused).to(outage * 6 + 3).on(AlarmEvent::Ready);
    }
    let told = diary.told();
    let alarms: Vec<u64> = told.iter().filter(|(_, what)| *what != AlarmSubject::AllClear).map(|(at, _)| *at).collect();
    assert!(alarms.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{alarms:?}");
    assert!((20..=24).contains(&alarms.len()) && told.len() <= 2 * alarms.len(), "{told:?}");
}

#[test]
fn each_channel_is_told_for_itself() {
    let mut state = AlarmState::default();
    state.on(AlarmEvent::Paused, minute(0));
    let tells = state.due(BOTH, minute(0));
    let [mail, hook] = tells[..] else { panic!("{tells:?}") };
    assert_eq!(
        (mail.channel, hook.channel, mail.what, hook.since),
        (AlarmChannel::Mail, AlarmChannel::Webhook, PAUSED, minute(0))
    );
    state.result(&mail, AlarmResult::Sent);
    state.result(&hook, AlarmResult::Later(minute(2)));
    assert_eq!((state.due(BOTH, minute(1)), state.next(BOTH, minute(1))), (vec![], Some(minute(2))));
    let [again] = state.due(BOTH, minute(2))[..] else { panic!("the webhook is due") };
    assert_eq!((again.tries, again.first, again.channel), (2, minute(0), AlarmChannel::Webhook));
    state.result(&again, AlarmResult::GivenUp);
    assert_eq!((state.due(BOTH, minute(3)), state.next(BOTH, minute(3))), (vec![], Some(minute(1440))));
    // Nobody at the webhook heard the alarm: nobody hears the all-clear.
    state.on(AlarmEvent::Ready, minute(5));
    let [clear] = state.due(BOTH, minute(5))[..] else { panic!("the mail is due") };
    assert_eq!((clear.channel, clear.what, clear.since), (AlarmChannel::Mail, AlarmSubject::AllClear, minute(0)));
    state.result(&clear, AlarmResult::Sent);
    assert_eq!((state.due(BOTH, minute(9)), state.next(BOTH, minute(9))), (vec![], None));
}

#[test]
fn without_a_channel_an_alarm_waits_for_one() {
    let mut state = AlarmState::default();
    state.on(AlarmEvent::Paused, minute(0));
    assert_eq!((state.due(NONE, minute(10)), state.next(NONE, minute(10))), (vec![], None));
    assert_eq!(state.next(HOOK, minute(10)), Some(minute(0)));
    assert_eq!(state.due(HOOK, minute(11)).len(), 1);
    assert_eq!(state.due(HOOK, minute(12)).len(), 1, "until it is answered");
}

#[test]
fn an_account_that_comes_back_takes_its_alarm_back() {
    let mut state = AlarmState::default();
    state.on(AlarmEvent::Paused, minute(0));
    let [tell] = state.due(HOOK, minute(0))[..] else { panic!("due") };
    state.result(&tell, AlarmResult::Later(minute(10)));
    state.on(AlarmEvent::Ready, minute(5));
    assert_eq!((state.due(HOOK, minute(10)), state.next(HOOK, minute(10))), (vec![], None));

    // It came back while the alarm was on its way: then the reader is told that as well.
    let mut state = AlarmState::default();
    state.on(AlarmEvent::Paused, minute(0));
    let [tell] = state.due(HOOK, minute(0))[..] else { panic!("due") };
    state.on(AlarmEvent::Ready, minute(1));
    assert_eq!(state.due(HOOK, minute(1)), []);
    state.result(&tell, AlarmResult::Sent);
    let [clear] = state.due(HOOK, minute(1))[..] else { panic!("the all-clear is due") };
    assert_eq!(clear.what, AlarmSubject::AllClear);
    // And down again before that was told: it is not true any more.
    state.on(QUIET, minute(2));
    assert_eq!(state.due(HOOK, minute(3)), []);
    state.on(AlarmEvent::Ready, minute(4));
    assert_eq!(state.due(HOOK, minute(4)).len(), 1);
}

#[test]
fn a_restart_between_try_and_answer_forgets_nothing() {
    let mut state = AlarmState::default();
    state.on(AlarmEvent::Paused, minute(0));
    assert_eq!(state.due(HOOK, minute(0)).len(), 1);
    let stored = serde_json::to_string(&state).unwrap();
    let mut state: AlarmState = serde_json::from_str(&stored).unwrap();
    // The account is found paused again at the start: the same outage.
    state.on(AlarmEvent::Paused, minute(3));
    let [tell] = state.due(HOOK, minute(3))[..] else { panic!("due") };
    assert_eq!((tell.since, tell.what), (minute(0), PAUSED));
    state.result(&tell, AlarmResult::Sent);
    assert_eq!(state.due(HOOK, minute(4)), []);
    // What an earlier version stored, or nothing at all, can be read.
    assert_eq!(serde_json::from_str::<AlarmState>("{}").unwrap(), AlarmState::default());
}

#[test]
fn a_clock_that_is_set_back_silences_nothing() {
    let mut diary = Diary { at: 600_000, ..Diary::default() };
    diary.on(AlarmEvent::Paused).on(AlarmEvent::Ready);
    assert_eq!(diary.told().len(), 2);
    diary.at = 0;
    diary.on(AlarmEvent::Paused).to(70);
    assert_eq!(diary.told(), [(60, PAUSED)]);
}
