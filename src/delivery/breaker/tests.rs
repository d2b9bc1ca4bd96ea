//! The breaker's sequences, with the real figures.

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn seconds(since: Timestamp, gate: Gate) -> Option<u64> {
    match gate {
        Gate::Cooling(until) | Gate::Down(until) => Some(until.since(since).as_secs()),
        Gate::Open | Gate::Probe | Gate::Paused => None,
    }
}

impl Breaker {
    fn told(&mut self, event: Event, now: Timestamp) -> Option<Gate> {
        self.on(event, Why::default(), now)
    }
}

/// The rests of an account whose every probe meets the next of these events, in seconds; `None` is a pause.
fn rests(events: impl IntoIterator<Item = Event>) -> Vec<Option<u64>> {
    let (mut breaker, mut now) = (Breaker::default(), START);
    let mut rests = Vec::new();
    for event in events {
        let gate = breaker.told(event, now).expect("the gate must change");
        rests.push(seconds(now, gate));
        if let Gate::Cooling(until) | Gate::Down(until) = gate {
            assert_eq!(breaker.gate(until - Duration::from_millis(1)), gate, "not a moment too early");
            assert_eq!(breaker.gate(until), Gate::Probe);
            now = until;
        }
    }
    rests
}

fn refused(rest: Rest, times: usize) -> Vec<Option<u64>> {
    rests(std::iter::repeat_n(Event::Refused(rest), times))
}

#[test]
fn rests_grow_and_are_bounded() {
    assert_eq!(refused(Rest::Quarter, 8), [900, 1800, 3600, 7200, 14400, 28800, 57600, 86400].map(Some));
    assert_eq!(refused(Rest::Hour, 6), [3600, 7200, 14400, 86400, 86400, 86400].map(Some));
    assert_eq!(refused(Rest::QuarterThenPause, 3), [Some(900), Some(1800), None]);
    assert_eq!(refused(Rest::HourThenPause, 3), [Some(3600), Some(7200), None]);
    assert_eq!(rests([Event::Unreachable; 8]), [1, 2, 4, 8, 16, 32, 60, 60].map(Some));
    assert_eq!(refused(Rest::Quarter, 100).last(), Some(&Some(86400)));
}

#[test]
fn a_quota_rests_until_its_window_ends() {
    let until = |after: u64| {
        let mut breaker = Breaker::default();
        seconds(START, breaker.told(Event::Refused(Rest::Until(at(after))), START).unwrap()).unwrap()
    };
    assert_eq!([0, 59, 61, 7200, 86_400, 86_401].map(until), [60, 60, 61, 7200, 86_400, 86_400]);
    // The window is over and the quota is still used up: the least rest grows.
    assert_eq!(refused(Rest::Until(START), 6), [60, 120, 240, 480, 960, 1920].map(Some));
    assert_eq!(refused(Rest::Until(START), 20).last(), Some(&Some(86_400)));
}

#[test]
fn only_the_same_refusal_in_a_row_pauses() {
    let (a, b) = (Event::Refused(Rest::QuarterThenPause), Event::Refused(Rest::Hour));
    assert_eq!(rests([a, a, b, a, a]), [Some(900), Some(1800), Some(14400), Some(7200), Some(14400)]);
    assert_eq!(rests([a, a, b, a, a, a]).last(), Some(&None));
    assert_eq!(rests([b, a, a, a]), [Some(3600), Some(1800), Some(3600), None]);
}

#[test]
fn a_success_clears_the_strikes() {
    let mut breaker = Breaker::default();
    breaker.told(Event::Refused(Rest::Quarter), START);
    assert_eq!(breaker.told(Event::Works, at(900)), Some(Gate::Open));
    assert_eq!(breaker.kept(), None);
    assert_eq!(breaker.told(Event::Refused(Rest::Quarter), at(901)), Some(Gate::Cooling(at(1801))));
}

#[test]
fn a_straggler_cannot_shorten_the_rest() {
    let mut breaker = Breaker::default();
    breaker.told(Event::Refused(Rest::Hour), START);
    for (second, event) in
        [Event::Works, Event::Unreachable, Event::Refused(Rest::Quarter), Event::Refused(Rest::Hour)].iter().enumerate()
    {
        assert_eq!(breaker.told(*event, at(second as u64 + 1)), None, "{event:?}");
    }
    assert_eq!(breaker.told(Event::Refused(Rest::Until(START)), at(9)), None);
    assert_eq!((breaker.gate(at(10)), breaker.kept().unwrap().strikes), (Gate::Cooling(at(3600)), 1));
    // It may lengthen it: that is news, and not another strike.
    let day = Event::Refused(Rest::Until(at(40_000)));
    assert_eq!(breaker.told(day, at(11)), Some(Gate::Cooling(at(40_000))));
    assert_eq!(breaker.kept().unwrap().strikes, 1);
    assert_eq!(breaker.told(Event::Pause, at(12)), Some(Gate::Paused));
}

#[test]
fn a_pause_ends_by_hand_only() {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.on(Event::Pause, Why { cause: "QQ-A2", text: "535 x" }, START), Some(Gate::Paused));
    for event in [Event::Works, Event::Unreachable, Event::Pause, Event::Refused(Rest::Quarter)] {
        assert_eq!(breaker.told(event, at(5)), None, "{event:?}");
    }
    assert_eq!(breaker.gate(START + YEAR), Gate::Paused);
    let kept = breaker.kept().unwrap();
    assert_eq!((kept.kind, kept.until, kept.by_operator), (Kind::Pause, None, false));
    assert_eq!((kept.cause.as_str(), kept.text.as_str(), kept.since), ("QQ-A2", "535 x", START));
    breaker.resume();
    assert_eq!((breaker.gate(at(9)), breaker.kept()), (Gate::Open, None));
    breaker.pause(true, Why::default(), at(10));
    assert!(breaker.kept().unwrap().by_operator);
    assert_eq!(breaker.told(Event::Pause, at(11)), None);
    assert!(breaker.kept().unwrap().by_operator, "the operator's word stands");
}

#[test]
fn many_lost_lines_at_once_are_one_strike() {
    let mut breaker = Breaker::default();
    for _ in 0..20 {
        breaker.told(Event::Unreachable, START);
    }
    assert_eq!((breaker.gate(START), breaker.kept()), (Gate::Down(at(1)), None));
    assert_eq!(breaker.told(Event::Works, START), Some(Gate::Open));
}

#[test]
fn line_trouble_leaves_the_strikes_alone() {
    let mut breaker = Breaker::default();
    breaker.told(Event::Refused(Rest::QuarterThenPause), START);
    breaker.told(Event::Refused(Rest::QuarterThenPause), at(900));
    let before = breaker.kept();
    // The probe finds no line, three times: the strikes are as they were, and the probe comes a minute later.
    for minute in 0..3 {
        let now = at(2700 + minute * 60);
        assert_eq!(breaker.told(Event::Unreachable, now), Some(Gate::Down(now + Duration::from_secs(60))));
        assert_eq!(breaker.kept(), before);
    }
    assert_eq!(breaker.told(Event::Refused(Rest::QuarterThenPause), at(2880)), Some(Gate::Paused));
}

#[test]
fn a_probe_that_was_not_tried_leaves_the_gate() {
    let mut breaker = Breaker::default();
    breaker.told(Event::Refused(Rest::Quarter), START);
    assert_eq!([900, 901, 100_000].map(|second| breaker.gate(at(second))), [Gate::Probe; 3]);
}

#[test]
fn a_restart_never_shortens_a_rest() {
    let mut breaker = Breaker::default();
    breaker.on(Event::Refused(Rest::QuarterThenPause), Why { cause: "QQ-A1", text: "535 登录失败" }, START);
    breaker.told(Event::Refused(Rest::QuarterThenPause), at(900));
    let row = serde_json::to_string(&breaker.kept().unwrap()).unwrap();
    let read = |row: &str, now| Breaker::restore(serde_json::from_str(row).unwrap(), now);
    let mut later = read(&row, at(1000));
    assert_eq!(later, breaker);
    assert_eq!((later.gate(at(2699)), later.gate(at(2700))), (Gate::Cooling(at(2700)), Gate::Probe));
    assert_eq!(read(&row, at(99_999)).gate(at(99_999)), Gate::Probe, "not open: the strikes are kept");
    assert_eq!(later.told(Event::Refused(Rest::QuarterThenPause), at(2700)), Some(Gate::Paused));
    let paused = serde_json::to_string(&later.kept().unwrap()).unwrap();
    assert_eq!(read(&paused, START + YEAR).gate(START + YEAR), Gate::Paused);
}

#[test]
fn a_clock_that_jumps_never_rests_a_year() {
    for begin in [START, START + YEAR] {
        let mut breaker = Breaker::default();
        breaker.told(Event::Refused(Rest::Hour), begin);
        breaker.told(Event::Refused(Rest::Hour), begin + Duration::from_secs(3600));
        // Half an hour into two hours, the clock is set back by a year: two hours from then, and it runs on.
        let now = begin + Duration::from_secs(5400) - YEAR;
        let two = now + Duration::from_secs(7200);
        let mut restored = Breaker::restore(breaker.kept().unwrap(), now);
        for breaker in [&mut breaker, &mut restored] {
            assert_eq!(breaker.gate(now), Gate::Cooling(two));
            assert_eq!(breaker.gate(now + Duration::from_secs(7199)), Gate::Cooling(two));
            assert_eq!(breaker.gate(two), Gate::Probe);
        }
    }
    let mut breaker = Breaker::default();
    breaker.told(Event::Refused(Rest::Hour), START);
    assert_eq!(breaker.gate(START + YEAR), Gate::Probe, "set forward, it may end early");
    let mut breaker = Breaker::default();
    breaker.told(Event::Unreachable, START);
    assert_eq!(breaker.gate(START - YEAR), Gate::Down(START - YEAR + Duration::from_secs(1)));
}

#[test]
fn a_damaged_row_rests_a_day_at_most() {
    let kept = |since, until| kept(Kind::Hour, Some(until), (1, 1), Why::default(), since);
    let mut breaker = Breaker::restore(kept(START, START + YEAR), START);
    assert_eq!(breaker.gate(START), Gate::Cooling(at(86_400)));
    let mut breaker = Breaker::restore(kept(START + YEAR, START + YEAR + YEAR), START);
    assert_eq!(breaker.gate(START), Gate::Cooling(at(86_400)));
    let mut breaker = Breaker::restore(kept(START, Timestamp::from_millis(0)), START);
    assert_eq!(breaker.gate(START), Gate::Probe);
}
