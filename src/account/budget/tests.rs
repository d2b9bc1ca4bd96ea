//! The budget rule by rule, with the real figures.

use super::*;
use jiff::tz::TimeZone;

/// 2026-11-18 16:00:00 UTC, a full hour; midnight in Shanghai.
const START: Timestamp = Timestamp::from_millis(1_795_017_600_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn windows(minute: u32, hour: u32, day: u32) -> Windows {
    let some = |limit: u32| (limit > 0).then_some(limit);
    Windows { minute: some(minute), hour: some(hour), day: some(day) }
}

fn messages(minute: u32, hour: u32, day: u32) -> Budget {
    Budget::new(BudgetLimits { messages: windows(minute, hour, day), ..BudgetLimits::default() })
}

fn zoned(day: u32, zone: TimeZone) -> Budget {
    Budget::new(BudgetLimits { messages: windows(0, 0, day), day: Day::Calendar(zone), ..BudgetLimits::default() })
}

/// How many messages of one recipient go at `now`.
fn burst(budget: &mut Budget, lane: Lane, now: Timestamp) -> u32 {
    std::iter::from_fn(|| budget.reserve(lane, 1, now).ok()).count() as u32
}

#[test]
fn a_full_window_says_when_it_opens() {
    let mut budget = messages(15, 100, 300);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 15);
    assert_eq!(budget.reserve(Lane::Alarm, 1, START).unwrap_err(), at(61));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(60)), 0, "a bucket counts from its end");
    assert_eq!(budget.opens(Lane::Alarm, at(60)), Some(at(61)));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(61)), 15);
    let hour: u32 = (2..=10).map(|minute| burst(&mut budget, Lane::Alarm, at(minute * 61))).sum();
    assert_eq!(hour, 70, "the hour is full");
    assert_eq!(budget.opens(Lane::Alarm, at(611)), Some(at(3660)));
}

#[test]
fn a_grant_is_part_of_what_was_asked() {
    let recipients = Windows { hour: Some(25), ..Windows::default() };
    let mut budget = Budget::new(BudgetLimits { recipients, ..BudgetLimits::default() });
    assert_eq!(budget.reserve(Lane::Alarm, 20, START).unwrap().recipients, 20);
    assert_eq!(budget.reserve(Lane::Alarm, 20, at(60)).unwrap().recipients, 5);
    assert_eq!(budget.reserve(Lane::Alarm, 20, at(120)), Err(at(3660)));
    assert_eq!(budget.reserve(Lane::Alarm, 20, at(3660)).unwrap().recipients, 20);
}

#[test]
fn what_is_given_back_was_never_spent() {
    let mut budget = messages(2, 2, 2);
    let first = budget.reserve(Lane::Alarm, 1, START).unwrap();
    let _second = budget.reserve(Lane::Alarm, 1, at(1)).unwrap();
    budget.give_back(first, at(2));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(2)), 1);
    // After the clock was set back, nobody knows where it was counted: it stays spent.
    let mut budget = messages(2, 2, 2);
    let reservation = budget.reserve(Lane::Alarm, 1, at(7200)).unwrap();
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 1);
    budget.give_back(reservation, START);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 0);
    // What was over before the clock was set back is not given back from what was spent there since.
    let mut budget = messages(2, 0, 0);
    let over = budget.reserve(Lane::Alarm, 1, START).unwrap();
    assert_eq!(budget.opens(Lane::Alarm, at(61)), None);
    let _ = budget.reserve(Lane::Alarm, 1, START).unwrap();
    budget.give_back(over, START);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 1);
    // What is over is not given back from others.
    let mut budget = messages(1, 0, 0);
    let old = budget.reserve(Lane::Alarm, 1, START).unwrap();
    assert_eq!(burst(&mut budget, Lane::Alarm, at(61)), 1);
    budget.give_back(old, at(61));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(61)), 0);
}

#[test]
fn lanes_leave_their_reserve() {
    let mut budget = messages(0, 100, 0);
    assert_eq!(burst(&mut budget, Lane::Bulk, START), 75);
    assert_eq!(burst(&mut budget, Lane::Normal, START), 15);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 10);
    let mut one = messages(0, 1, 0);
    assert_eq!(burst(&mut one, Lane::Bulk, START), 1, "a limit of one has no reserve");
}

#[test]
fn a_flood_of_alarms_stops_nobody_for_ever() {
    let mut budget = messages(0, 10, 0);
    let mut normal = Vec::new();
    for minute in 0..60 * 6 {
        let now = at(minute * 60);
        // Ten alarms spread over the first hour, then one for each place that becomes free.
        if minute < 60 {
            let _ = (minute % 6 == 0).then(|| budget.reserve(Lane::Alarm, 1, now).unwrap());
            continue;
        }
        if let Ok(reservation) = budget.reserve(Lane::Normal, 5, now) {
            normal.push((minute, reservation.recipients));
        }
        burst(&mut budget, Lane::Alarm, now);
    }
    assert_eq!(normal, [(122, 1), (183, 1), (244, 1), (305, 1)], "one of the reserve after an hour in vain");
}

#[test]
fn logins_have_limits_of_their_own() {
    let logins = Windows { hour: Some(2), ..Windows::default() };
    let mut budget = Budget::new(BudgetLimits { logins, ..BudgetLimits::default() });
    let mut login = |second| budget.login(at(second)).map_err(|closed| closed.until);
    assert_eq!([0, 60, 120, 3660].map(&mut login), [Ok(()), Ok(()), Err(at(3660)), Ok(())]);
    assert_eq!(burst(&mut messages(0, 0, 1), Lane::Alarm, START), 1);
    assert_eq!(budget.opens(Lane::Bulk, at(120)), None, "mail has other limits");
}

#[test]
fn rows_count_from_the_end_of_their_minute() {
    let row = |second, messages| (at(second), Spent { messages, recipients: messages, logins: 0 });
    let mut budget = messages(10, 20, 0);
    budget.load([row(0, 10), row(60, 10)], at(125));
    assert_eq!(budget.opens(Lane::Alarm, at(125)), Some(at(3660)));
    assert_eq!(budget.opens(Lane::Alarm, at(3659)), Some(at(3660)));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(3660)), 10);
    // The minute that is not over counts as now; what lies in the future does as well.
    let mut budget = messages(10, 0, 0);
    budget.load([row(0, 10)], at(30));
    assert_eq!(budget.opens(Lane::Alarm, at(30)), Some(at(91)));
    let mut budget = messages(10, 0, 0);
    budget.load([(START + YEAR, row(0, 10).1)], at(30));
    assert_eq!(budget.opens(Lane::Alarm, at(30)), Some(at(91)));
}

#[test]
fn a_calendar_day_ends_at_midnight_in_its_zone() {
    let shanghai = TimeZone::posix("CST-8").unwrap();
    let mut budget = zoned(3, shanghai.clone());
    let late = START - Duration::from_secs(1);
    assert_eq!(burst(&mut budget, Lane::Alarm, late), 3);
    assert_eq!(budget.opens(Lane::Alarm, late), Some(START));
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 3);
    assert_eq!(budget.opens(Lane::Alarm, START), Some(START + DAY));
    // Set back by two seconds over midnight, and on again: three on each date, and never three more.
    assert_eq!(burst(&mut budget, Lane::Alarm, late), 0);
    assert_eq!(budget.opens(Lane::Alarm, late), Some(START + DAY));
    assert_eq!(burst(&mut budget, Lane::Alarm, at(1)), 0);
    // Set back by a year: what is spent counts as spent today.
    assert_eq!(burst(&mut budget, Lane::Alarm, late - YEAR), 0);
    assert_eq!(budget.opens(Lane::Alarm, late - YEAR), Some(START - YEAR));
}

#[test]
fn days_of_23_and_25_hours_are_one_day() {
    let new_york = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
    let stamp = |text: &str| Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    for (first, opens) in [
        ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("2026-06-01T04:00:00Z", "2026-06-02T04:00:00Z"),
    ] {
        let mut budget = zoned(2, new_york.clone());
        assert_eq!(burst(&mut budget, Lane::Alarm, stamp(first) - Duration::from_millis(1)), 2);
        assert_eq!(burst(&mut budget, Lane::Alarm, stamp(first)), 2, "{first}");
        assert_eq!(budget.opens(Lane::Alarm, stamp(first)), Some(stamp(opens)));
        assert_eq!(burst(&mut budget, Lane::Alarm, stamp(opens) - Duration::from_millis(1)), 0);
        assert_eq!(burst(&mut budget, Lane::Alarm, stamp(opens)), 2);
    }
}

#[test]
fn a_clock_that_jumps() {
    let mut budget = messages(2, 5, 9);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 2);
    // Back by a year: it counts as now, for a window and not for a year.
    let past = START - YEAR;
    assert_eq!(budget.opens(Lane::Alarm, past), Some(past + Duration::from_secs(61)));
    assert_eq!(burst(&mut budget, Lane::Alarm, past + Duration::from_secs(61)), 2);
    // Forward by two years: everything is empty.
    assert_eq!(burst(&mut budget, Lane::Alarm, START + YEAR), 2);
    let left: Vec<_> = budget.left(START + YEAR).iter().map(|left| left.left).collect();
    assert_eq!(left, [0, 3, 7]);
}

#[test]
fn a_quota_reply_teaches() {
    let mut budget = messages(0, 100, 300);
    assert_eq!(burst(&mut budget, Lane::Alarm, START), 100);
    let mut budget = messages(0, 100, 300);
    for second in 0..40 {
        let _ = budget.reserve(Lane::Alarm, 1, at(second)).unwrap();
    }
    assert_eq!(budget.teach(Window::Hour, at(60)), at(3660));
    assert_eq!((budget.opens(Lane::Alarm, at(60)), budget.login(at(60))), (Some(at(3660)), Ok(())));
    let hour = |budget: &mut Budget, now| budget.left(now)[0];
    assert_eq!((hour(&mut budget, at(60)).limit, hour(&mut budget, at(60)).left), (40, 0));
    // A restart knows it.
    let kept = serde_json::to_string(&budget.learnt()).unwrap();
    let mut budget = messages(0, 100, 300);
    budget.restore(serde_json::from_str(&kept).unwrap());
    assert_eq!(burst(&mut budget, Lane::Alarm, at(3659)), 0);
    assert_eq!(burst(&mut budget, Lane::Alarm, at(3660)), 40);
    // A quarter more each day, until the configured limit is reached.
    let limits: Vec<u32> = (0..7).map(|day| hour(&mut budget, at(60) + DAY * day).limit).collect();
    assert_eq!(limits, [40, 50, 62, 77, 96, 100, 100]);
    let learnt = budget.learnt();
    assert!(learnt.limits.iter().all(|lesson| lesson.unit == Unit::Recipients), "{learnt:?}");
}

#[test]
fn a_closing_is_never_longer_than_its_window() {
    let mut budget = messages(0, 100, 300);
    budget.teach(Window::Day, START);
    assert_eq!(budget.opens(Lane::Alarm, START - YEAR), Some(START - YEAR + DAY));
    assert_eq!(budget.opens(Lane::Alarm, START - YEAR + DAY), None);
    let mut budget = zoned(300, TimeZone::posix("CST-8").unwrap());
    assert_eq!(budget.teach(Window::Day, at(3600)), START + DAY, "midnight in the zone");
    assert_eq!(budget.opens(Lane::Bulk, at(3600)), Some(START + DAY));
}

#[test]
fn lessons_in_a_row_halve_down_to_a_tenth_and_nothing_teaches_zero() {
    let mut budget = messages(0, 100, 0);
    assert_eq!(burst(&mut budget, Lane::Normal, START), 90);
    let mut limits = Vec::new();
    let mut now = START;
    for _ in 0..9 {
        // Each time the window opens again, the first message is refused.
        now = budget.teach(Window::Hour, now) + Duration::from_secs(60);
        let _ = budget.reserve(Lane::Normal, 1, now).unwrap();
        limits.push(budget.left(now)[0].limit);
    }
    assert_eq!(limits, [90, 45, 22, 11, 10, 10, 10, 10, 10]);
    let days: Vec<u32> = (1..=12).map(|day| budget.left(now + DAY * day)[0].limit).collect();
    assert_eq!(days, [12, 15, 18, 22, 27, 33, 41, 51, 63, 78, 97, 100]);
}

#[test]
fn a_lesson_without_a_configured_limit_is_forgotten() {
    let mut budget = messages(0, 0, 0);
    let _ = budget.reserve(Lane::Alarm, 3, START).unwrap();
    budget.teach(Window::Day, START);
    let left: Vec<_> = budget.left(START + DAY).iter().map(|left| (left.unit, left.limit)).collect();
    assert_eq!(left, [(Unit::Messages, 2), (Unit::Recipients, 4)]);
    assert!(!budget.left(START + FORGET - Duration::from_secs(1)).is_empty());
    assert!(budget.left(START + FORGET).is_empty());
}

#[test]
fn left_tells_each_limit() {
    let mut budget = Budget::new(BudgetLimits {
        messages: windows(2, 0, 300),
        recipients: windows(0, 100, 0),
        logins: windows(0, 20, 0),
        day: Day::Rolling,
    });
    let _ = budget.reserve(Lane::Alarm, 7, START).unwrap();
    let _ = budget.reserve(Lane::Alarm, 7, START).unwrap();
    let left = |unit, window, limit, left, opens| RemainingBudget { unit, window, limit, left, opens };
    assert_eq!(
        budget.left(START),
        [
            left(Unit::Messages, Window::Minute, 2, 0, Some(at(61))),
            left(Unit::Messages, Window::Day, 300, 298, None),
            left(Unit::Recipients, Window::Hour, 100, 86, None),
            left(Unit::Logins, Window::Hour, 20, 20, None),
        ]
    );
}

#[test]
fn a_limit_of_zero_is_never() {
    let recipients = Windows { day: Some(0), ..Windows::default() };
    let mut budget = Budget::new(BudgetLimits { recipients, ..BudgetLimits::default() });
    assert_eq!(budget.reserve(Lane::Alarm, 1, START), Err(START + DAY));
    assert_eq!(budget.reserve(Lane::Bulk, 1, START + DAY * 9), Err(START + DAY * 10));
    assert_eq!(budget.left(START)[0].opens, Some(START + DAY));
    assert!(budget.when(Lane::Bulk, 5, START) > START + DAY * 200);
}

#[test]
fn the_estimate_is_what_happens() {
    let mut budget = messages(15, 100, 300);
    let expected = |ahead| budget.when(Lane::Alarm, ahead, START).since(START).as_secs();
    let (minute, hour, day) = (61, 3660, 24 * 3600 + 900);
    assert_eq!(
        [0, 14, 15, 99, 100, 200, 299, 300, 339].map(expected),
        [0, 0, minute, 6 * minute, hour, 2 * hour, 2 * hour + 6 * minute, day, day + 2 * minute]
    );
    assert_eq!(messages(0, 0, 0).when(Lane::Bulk, u64::MAX, START).since(START), Duration::ZERO);
    let month = budget.when(Lane::Alarm, 9000, START).since(START).as_secs() / (24 * 3600);
    // Beyond the steps it is a straight line: right within a day. Thirty full days take 30 times 24 h 15 min.
    assert!((29..=31).contains(&month), "{month}");
}
