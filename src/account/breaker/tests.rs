//! The breaker's sequences, with the real figures.

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn seconds(since: Timestamp, state: BreakerState) -> Option<u64> {
    match state {
        BreakerState::Cooling(until) | BreakerState::Unreachable(until) => Some(until.since(since).as_secs()),
        BreakerState::Ready | BreakerState::Probe | BreakerState::Paused => None,
    }
}

impl Breaker {
    fn told(&mut self, event: BreakerEvent, now: Timestamp) -> Option<BreakerState> {
        self.on(event, Reason::default(), now)
    }
}

/// The rests of an account whose every probe meets the next of these events, in seconds; `None` is a pause.
fn rests(events: impl IntoIterator<Item = BreakerEvent>) -> Vec<Option<u64>> {
    let (mut breaker, mut now) = (Breaker::default(), START);
    let mut rests = Vec::new();
    for event in events {
        let state = breaker.told(event, now).expect("the state must change");
        rests.push(seconds(now, state));
        if let BreakerState::Cooling(until) | BreakerState::Unreachable(until) = state {
            assert_eq!(breaker.state(until - Duration::from_millis(1)), state, "not a moment too early");
            assert_eq!(breaker.state(until), BreakerState::Probe);
            now = until;
        }
    }
    rests
}

fn refused(rest: CoolingRule, times: usize) -> Vec<Option<u64>> {
    rests(std::iter::repeat_n(BreakerEvent::Refused(rest), times))
}

#[test]
fn rests_grow_and_are_bounded() {
    assert_eq!(refused(CoolingRule::Quarter, 8), [900, 1800, 3600, 7200, 14400, 28800, 57600, 86400].map(Some));
    assert_eq!(refused(CoolingRule::Hour, 6), [3600, 7200, 14400, 86400, 86400, 86400].map(Some));
    assert_eq!(refused(CoolingRule::QuarterThenPause, 3), [Some(900), Some(1800), None]);
    assert_eq!(refused(CoolingRule::HourThenPause, 3), [Some(3600), Some(7200), None]);
    assert_eq!(rests([BreakerEvent::Unreachable; 8]), [1, 2, 4, 8, 16, 32, 60, 60].map(Some));
    assert_eq!(refused(CoolingRule::Quarter, 100).last(), Some(&Some(86400)));
}

#[test]
fn a_quota_rests_until_its_window_ends() {
    let until = |after: u64| {
        let mut breaker = Breaker::default();
        seconds(START, breaker.told(BreakerEvent::Refused(CoolingRule::Until(at(after))), START).unwrap()).unwrap()
    };
    assert_eq!([0, 59, 61, 7200, 86_400, 86_401].map(until), [60, 60, 61, 7200, 86_400, 86_400]);
    // The window is over and the quota is still used up: the least rest grows.
    assert_eq!(refused(CoolingRule::Until(START), 6), [60, 120, 240, 480, 960, 1920].map(Some));
    assert_eq!(refused(CoolingRule::Until(START), 20).last(), Some(&Some(86_400)));
}

#[test]
fn only_the_same_refusal_in_a_row_pauses() {
    let (a, b) = (BreakerEvent::Refused(CoolingRule::QuarterThenPause), BreakerEvent::Refused(CoolingRule::Hour));
    assert_eq!(rests([a, a, b, a, a]), [Some(900), Some(1800), Some(14400), Some(7200), Some(14400)]);
    assert_eq!(rests([a, a, b, a, a, a]).last(), Some(&None));
    assert_eq!(rests([b, a, a, a]), [Some(3600), Some(1800), Some(3600), None]);
}

#[test]
fn a_success_clears_the_strikes() {
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Refused(CoolingRule::Quarter), START);
    assert_eq!(breaker.told(BreakerEvent::Works, at(900)), Some(BreakerState::Ready));
    assert_eq!(breaker.saved(), None);
    assert_eq!(
        breaker.told(BreakerEvent::Refused(CoolingRule::Quarter), at(901)),
        Some(BreakerState::Cooling(at(1801)))
    );
}

#[test]
fn a_straggler_cannot_shorten_the_rest() {
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Refused(CoolingRule::Hour), START);
    for (second, event) in [
        BreakerEvent::Works,
        BreakerEvent::Unreachable,
        BreakerEvent::Refused(CoolingRule::Quarter),
        BreakerEvent::Refused(CoolingRule::Hour),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(breaker.told(*event, at(second as u64 + 1)), None, "{event:?}");
    }
    assert_eq!(breaker.told(BreakerEvent::Refused(CoolingRule::Until(START)), at(9)), None);
    assert_eq!((breaker.state(at(10)), breaker.saved().unwrap().strikes), (BreakerState::Cooling(at(3600)), 1));
    // It may lengthen it: that is news, and not another strike.
    let day = BreakerEvent::Refused(CoolingRule::Until(at(40_000)));
    assert_eq!(breaker.told(day, at(11)), Some(BreakerState::Cooling(at(40_000))));
    assert_eq!(breaker.saved().unwrap().strikes, 1);
    assert_eq!(breaker.told(BreakerEvent::Pause, at(12)), Some(BreakerState::Paused));
}

#[test]
fn a_pause_ends_by_hand_only() {
    let mut breaker = Breaker::default();
    assert_eq!(
        breaker.on(BreakerEvent::Pause, Reason { cause: "QQ-A2", text: "535 x" }, START),
        Some(BreakerState::Paused)
    );
    for event in [
        BreakerEvent::Works,
        BreakerEvent::Unreachable,
        BreakerEvent::Pause,
        BreakerEvent::Refused(CoolingRule::Quarter),
    ] {
        assert_eq!(breaker.told(event, at(5)), None, "{event:?}");
    }
    assert_eq!(breaker.state(START + YEAR), BreakerState::Paused);
    let kept = breaker.saved().unwrap();
    assert_eq!((kept.kind, kept.until, kept.by_operator), (CoolingKind::Pause, None, false));
    assert_eq!((kept.cause.as_str(), kept.text.as_str(), kept.since), ("QQ-A2", "535 x", START));
    breaker.resume();
    assert_eq!((breaker.state(at(9)), breaker.saved()), (BreakerState::Ready, None));
    breaker.pause(true, Reason::default(), at(10));
    assert!(breaker.saved().unwrap().by_operator);
    assert_eq!(breaker.told(BreakerEvent::Pause, at(11)), None);
    assert!(breaker.saved().unwrap().by_operator, "the operator's word stands");
}

#[test]
fn many_lost_lines_at_once_are_one_strike() {
    let mut breaker = Breaker::default();
    for _ in 0..20 {
        breaker.told(BreakerEvent::Unreachable, START);
    }
    assert_eq!((breaker.state(START), breaker.saved()), (BreakerState::Unreachable(at(1)), None));
    assert_eq!(breaker.told(BreakerEvent::Works, START), Some(BreakerState::Ready));
}

#[test]
fn line_trouble_leaves_the_strikes_alone() {
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Refused(CoolingRule::QuarterThenPause), START);
    breaker.told(BreakerEvent::Refused(CoolingRule::QuarterThenPause), at(900));
    let before = breaker.saved();
    // The probe finds no line, three times: the strikes are as they were, and the probe comes a minute later.
    for minute in 0..3 {
        let now = at(2700 + minute * 60);
        assert_eq!(
            breaker.told(BreakerEvent::Unreachable, now),
            Some(BreakerState::Unreachable(now + Duration::from_secs(60)))
        );
        assert_eq!(breaker.saved(), before);
    }
    assert_eq!(
        breaker.told(BreakerEvent::Refused(CoolingRule::QuarterThenPause), at(2880)),
        Some(BreakerState::Paused)
    );
}

#[test]
fn a_probe_that_was_not_tried_leaves_the_state() {
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Refused(CoolingRule::Quarter), START);
    assert_eq!([900, 901, 100_000].map(|second| breaker.state(at(second))), [BreakerState::Probe; 3]);
}

#[test]
fn a_restart_never_shortens_a_rest() {
    let mut breaker = Breaker::default();
    breaker.on(
        BreakerEvent::Refused(CoolingRule::QuarterThenPause),
        Reason { cause: "QQ-A1", text: "535 登录失败" },
        START,
    );
    breaker.told(BreakerEvent::Refused(CoolingRule::QuarterThenPause), at(900));
    let row = serde_json::to_string(&breaker.saved().unwrap()).unwrap();
    let read = |row: &str, now| Breaker::restore(serde_json::from_str(row).unwrap(), now);
    let mut later = read(&row, at(1000));
    assert_eq!(later, breaker);
    assert_eq!((later.state(at(2699)), later.state(at(2700))), (BreakerState::Cooling(at(2700)), BreakerState::Probe));
    assert_eq!(read(&row, at(99_999)).state(at(99_999)), BreakerState::Probe, "not open: the strikes are kept");
    assert_eq!(later.told(BreakerEvent::Refused(CoolingRule::QuarterThenPause), at(2700)), Some(BreakerState::Paused));
    let paused = serde_json::to_string(&later.saved().unwrap()).unwrap();
    assert_eq!(read(&paused, START + YEAR).state(START + YEAR), BreakerState::Paused);
}

#[test]
fn a_clock_that_jumps_never_rests_a_year() {
    for begin in [START, START + YEAR] {
        let mut breaker = Breaker::default();
        breaker.told(BreakerEvent::Refused(CoolingRule::Hour), begin);
        breaker.told(BreakerEvent::Refused(CoolingRule::Hour), begin + Duration::from_secs(3600));
        // Half an hour into two hours, the clock is set back by a year: two hours from then, and it runs on.
        let now = begin + Duration::from_secs(5400) - YEAR;
        let two = now + Duration::from_secs(7200);
        let mut restored = Breaker::restore(breaker.saved().unwrap(), now);
        for breaker in [&mut breaker, &mut restored] {
            assert_eq!(breaker.state(now), BreakerState::Cooling(two));
            assert_eq!(breaker.state(now + Duration::from_secs(7199)), BreakerState::Cooling(two));
            assert_eq!(breaker.state(two), BreakerState::Probe);
        }
    }
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Refused(CoolingRule::Hour), START);
    assert_eq!(breaker.state(START + YEAR), BreakerState::Probe, "set forward, it may end early");
    let mut breaker = Breaker::default();
    breaker.told(BreakerEvent::Unreachable, START);
    assert_eq!(breaker.state(START - YEAR), BreakerState::Unreachable(START - YEAR + Duration::from_secs(1)));
}

#[test]
fn a_damaged_row_cools_for_a_day_at_most() {
    let saved = |since, until| saved(CoolingKind::Hour, Some(until), (1, 1), Reason::default(), since);
    let mut breaker = Breaker::restore(saved(START, START + YEAR), START);
    assert_eq!(breaker.state(START), BreakerState::Cooling(at(86_400)));
    let mut breaker = Breaker::restore(saved(START + YEAR, START + YEAR + YEAR), START);
    assert_eq!(breaker.state(START), BreakerState::Cooling(at(86_400)));
    let mut breaker = Breaker::restore(saved(START, Timestamp::from_millis(0)), START);
    assert_eq!(breaker.state(START), BreakerState::Probe);
}
