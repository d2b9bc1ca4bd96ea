//! A day with the real figures: 300 alarms and 40 reports at midnight, 15 a minute, 100 an hour, 300 a day.

use super::*;
use crate::account::lane::order;
use jiff::tz::TimeZone;

/// 2026-11-19 00:00 in Shanghai.
const MIDNIGHT: Timestamp = Timestamp::from_millis(1_795_017_600_000);

fn limits(day: Day) -> BudgetLimits {
    let messages = Windows { minute: Some(15), hour: Some(100), day: Some(300) };
    BudgetLimits { messages, day, ..BudgetLimits::default() }
}

/// Everything that goes, with its time; each lane as soon as it may, in the order that `first` says.
fn run(day: Day, first: impl Fn(u64, &Budget, Timestamp) -> [Lane; 3]) -> Vec<(Timestamp, Lane)> {
    let (mut budget, mut now, mut turn) = (Budget::new(limits(day)), MIDNIGHT, 0);
    let mut waiting = [300, 40, 0];
    let mut gone = Vec::new();
    while waiting != [0; 3] {
        let order = first(turn, &budget, now);
        let mut lanes = order.into_iter().filter(|lane| waiting[*lane as usize] > 0);
        match lanes.clone().find(|lane| budget.reserve(*lane, 1, now).is_ok()) {
            Some(lane) => {
                gone.push((now, lane));
                waiting[lane as usize] -= 1;
                turn += 1;
            }
            None => now = lanes.by_ref().filter_map(|lane| budget.opens(lane, now)).min().unwrap(),
        }
    }
    gone
}
/// Alarms and reports by time (`day hh:mm:ss` after midnight), a line for each moment at which something goes.
fn table(gone: &[(Timestamp, Lane)]) -> Vec<(String, usize, usize)> {
    let mut lines: Vec<(String, usize, usize)> = Vec::new();
    for (at, lane) in gone {
        let s = at.since(MIDNIGHT).as_secs();
        let text = format!("{} {:02}:{:02}:{:02}", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
        if lines.last().is_none_or(|(last, _, _)| *last != text) {
            lines.push((text, 0, 0));
        }
        let line = lines.last_mut().unwrap();
        match lane {
            Lane::Alarm => line.1 += 1,
            Lane::Normal | Lane::Bulk => line.2 += 1,
        }
    }
    lines
}

/// What the figures must be, whoever is asked first.
fn check(gone: &[(Timestamp, Lane)]) {
    assert_eq!(gone.len(), 340);
    assert!(gone.iter().all(|(at, _)| at.since(MIDNIGHT) < Window::Day.length() * 2), "within the second day");
    for (window, limit) in [(Window::Minute, 15), (Window::Hour, 100), (Window::Day, 300)] {
        for (end, _) in gone {
            let inside = gone.iter().filter(|(at, _)| at <= end && end.since(*at) < window.length()).count();
            assert!(inside <= limit, "{inside} in the {window:?} before {end:?}");
        }
    }
}

#[test]
fn a_day_of_alarms_first_until_reports_are_overdue() {
    let gone = run(Day::Rolling, |_, budget, now| order(if budget.overdue(Lane::Normal, now) { 7 } else { 0 }));
    check(&gone);
    let rows = [
        ("0 00:00:00", 15, 0),
        ("0 00:01:01", 15, 0),
        ("0 00:02:02", 15, 0),
        ("0 00:03:03", 15, 0),
        ("0 00:04:04", 15, 0),
        ("0 00:05:05", 15, 0),
        ("0 00:06:06", 10, 0),
        // A report has waited for an hour: one of them goes first, out of the alarms' reserve.
        ("0 01:01:00", 14, 1),
        ("0 01:02:01", 15, 0),
        ("0 01:03:02", 15, 0),
        ("0 01:04:03", 15, 0),
        ("0 01:05:04", 15, 0),
        ("0 01:06:05", 15, 0),
        ("0 01:07:06", 10, 0),
        ("0 02:02:00", 14, 1),
        ("0 02:03:01", 15, 0),
        ("0 02:04:02", 15, 0),
        ("0 02:05:03", 15, 0),
        ("0 02:06:04", 15, 0),
        ("0 02:07:05", 15, 0),
        ("0 02:08:06", 10, 0),
        // The day is full, 298 alarms and 2 reports. The next one brings the rest, 13 reports a minute.
        ("1 00:15:00", 2, 11),
        ("1 00:16:01", 0, 13),
        ("1 00:17:02", 0, 13),
        ("1 00:18:03", 0, 1),
    ];
    assert_eq!(table(&gone), rows.map(|(at, alarms, reports)| (at.to_owned(), alarms, reports)));
}

#[test]
fn a_day_by_turns() {
    let gone = run(Day::Rolling, |turn, _, _| order(turn));
    check(&gone);
    let first_day =
        |lane| gone.iter().filter(|(at, l)| at.since(MIDNIGHT) < Window::Day.length() && *l == lane).count();
    // Every eighth turn costs an alarm its place as long as reports wait: 16 alarms go a day later.
    assert_eq!((first_day(Lane::Alarm), first_day(Lane::Normal)), (284, 16));
    assert_eq!(gone.last().map(|(at, _)| at.since(MIDNIGHT).as_secs()), Some(86_400 + 17 * 60 + 2));
}

#[test]
fn a_calendar_day_begins_anew_at_midnight() {
    let day = Day::Calendar(TimeZone::posix("CST-8").unwrap());
    let gone = run(day, |_, _, _| order(0));
    check(&gone);
    let second: Vec<_> = table(&gone).into_iter().filter(|(at, _, _)| at.starts_with('1')).collect();
    // 300 alarms on the first date, patience for two reports aside; the second one begins at 00:00.
    assert_eq!(second.first().map(|line| line.0.as_str()), Some("1 00:00:00"));
}
