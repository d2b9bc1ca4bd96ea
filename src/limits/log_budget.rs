//! How many lines of the log one source may cause in a minute; the lines beyond are counted, not written.
//!
//! A refused connection costs a client nothing, and the disk of the relay one line. So each network of a [`Source`] may
//! cause [`LINES`] lines (an IPv6 /48 four times as many) within a minute that begins with its first line. The lines
//! beyond are counted by event until the minute is over and [`LogBudget::due`] reports them. Not here: writing, and
//! lines about accepted mail, which have no budget.
//!
//! Invariants: no line is lost uncounted; at most [`MOST_NETWORKS`] networks have a budget of their own, all others
//! share one. The time is an argument, and a monotonic one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::source::{SITE, Source};

/// Lines of one network in a minute.
pub const LINES: u32 = 60;
/// The time that [`LINES`] is for.
pub const MINUTE: Duration = Duration::from_secs(60);
/// How many networks have a budget of their own (about 100 octets each).
pub const MOST_NETWORKS: usize = 1_024;
/// How often a full table is searched for networks that can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is written.
    Write,
    /// It is counted only. `first`: no other line is held back at this time, so the caller starts the task that reports.
    Hold {
        /// No task waits for [`LogBudget::due`] yet.
        first: bool,
    },
}

/// Lines that were not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct More {
    /// Whose lines; `None`: of all addresses without a budget of their own.
    pub network: Option<IpNet>,
    /// The event of the lines.
    pub event: &'static str,
    /// How many.
    pub lines: u64,
}

/// The budgets of all addresses.
#[derive(Debug, Default)]
pub struct LogBudget(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    own: HashMap<IpNet, Minute>,
    others: Option<Minute>,
    swept: Option<Instant>,
    /// Some lines are held back, and a task waits to report them.
    reporting: bool,
}

#[derive(Debug)]
struct Minute {
    until: Instant,
    lines: u32,
    held: Vec<(&'static str, u64)>,
}

impl Minute {
    fn begin(now: Instant) -> Minute {
        Minute { until: now + MINUTE, lines: 0, held: Vec::new() }
    }

    /// It is over, and nothing of it has to be reported.
    fn is_spent(&self, now: Instant) -> bool {
        now >= self.until && self.held.is_empty()
    }

    /// Counts a line; true when it is one of the first `most` lines, and is written.
    fn takes(&mut self, event: &'static str, most: u32) -> bool {
        if self.lines < most {
            self.lines += 1;
            return true;
        }
        match self.held.iter_mut().find(|(held, _)| *held == event) {
            Some((_, lines)) => *lines += 1,
            None => self.held.push((event, 1)),
        }
        false
    }
}

impl LogBudget {
    /// Asks for one line about `client`. `event` is a word from the code, so that there are few.
    pub fn line(&self, client: IpAddr, event: &'static str, now: Instant) -> Line {
        let (source, mut state) = (Source::of(client), self.state());
        let written = state.minute(source.network, now).takes(event, LINES)
            && source.site.is_none_or(|site| state.minute(site, now).takes(event, LINES * SITE));
        if written {
            return Line::Write;
        }
        Line::Hold { first: !std::mem::replace(&mut state.reporting, true) }
    }

    /// When the first minute with held lines is over; `None` when no line is held, and the task that reports ends.
    pub fn next_due(&self) -> Option<Instant> {
        let mut state = self.state();
        let held = state.own.values().chain(&state.others).filter(|minute| !minute.held.is_empty());
        let next = held.map(|minute| minute.until).min();
        state.reporting = next.is_some();
        next
    }

    /// The lines that were held back in minutes that are over at `now`. These addresses begin anew.
    pub fn due(&self, now: Instant) -> Vec<More> {
        let mut state = self.state();
        let mut due = Vec::new();
        let mut report = |network, minute: &Minute| {
            due.extend(minute.held.iter().map(|&(event, lines)| More { network, event, lines }));
        };
        let is_due = |minute: &Minute| now >= minute.until && !minute.held.is_empty();
        for (network, minute) in state.own.extract_if(|_, minute| is_due(minute)) {
            report(Some(network), &minute);
        }
        if let Some(minute) = state.others.take_if(|minute| is_due(minute)) {
            report(None, &minute);
        }
        due
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one insertion or one number; a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The present minute of a network, or of all that have none of their own.
    fn minute(&mut self, network: IpNet, now: Instant) -> &mut Minute {
        let full = self.own.len() >= MOST_NETWORKS && !self.own.contains_key(&network);
        if full && self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.own.retain(|_, minute| !minute.is_spent(now));
            self.swept = Some(now);
        }
        let minute = if self.own.len() < MOST_NETWORKS || self.own.contains_key(&network) {
            self.own.entry(network).or_insert_with(|| Minute::begin(now))
        } else {
            self.others.get_or_insert_with(|| Minute::begin(now))
        };
        if minute.is_spent(now) {
            *minute = Minute::begin(now);
        }
        minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each network in a site of its own.
    fn v6(network: u16, host: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, network, 1, 0, 0, 0, host])
    }

    #[test]
    fn an_address_has_its_lines_and_the_rest_is_one_number_for_each_event() {
        let (budget, now) = (LogBudget::default(), Instant::now());
        let told: Vec<Line> = (0..LINES + 40).map(|n| budget.line(v6(1, n as u16), "refused", now)).collect();
        assert_eq!(told.iter().filter(|line| **line == Line::Write).count(), LINES as usize);
        assert_eq!(told.iter().filter(|line| **line == Line::Hold { first: true }).count(), 1);
        assert_eq!(budget.line(v6(1, 0), "noted", now), Line::Hold { first: false });
        // Another network, and the same one in the next minute.
        assert_eq!(budget.line(v6(2, 0), "refused", now), Line::Write);
        assert_eq!((budget.next_due(), budget.due(now)), (Some(now + MINUTE), vec![]));
        let later = now + MINUTE;
        assert_eq!(budget.line(v6(1, 0), "refused", later), Line::Hold { first: false }, "they are not reported yet");
        let more = |event, lines| More { network: Some(Source::of(v6(1, 0)).network), event, lines };
        assert_eq!(budget.due(later), [more("refused", 41), more("noted", 1)]);
        assert_eq!((budget.next_due(), budget.line(v6(1, 0), "refused", later)), (None, Line::Write));
    }

    #[test]
    fn a_site_with_many_networks_has_the_lines_of_four() {
        let (budget, now) = (LogBudget::default(), Instant::now());
        let of = |network| IpAddr::from([0x2001, 0xdb8, 1, network, 0, 0, 0, 1]);
        let written = (0..1_000).filter(|&network| budget.line(of(network), "refused", now) == Line::Write).count();
        assert_eq!(written, (SITE * LINES) as usize);
        let lines = 1_000 - written as u64;
        assert_eq!(budget.due(now + MINUTE), [More { network: Source::of(of(0)).site, event: "refused", lines }]);
    }

    #[test]
    fn memory_is_bounded_and_no_line_is_lost_whoever_comes() {
        let of = |n: u16| IpAddr::from((0x0a00_0000 + u32::from(n)).to_be_bytes());
        let (budget, now) = (LogBudget::default(), Instant::now());
        let networks = 5_000;
        let written = (0..networks).filter(|&n| budget.line(of(n), "refused", now) == Line::Write).count();
        assert_eq!(written, MOST_NETWORKS + LINES as usize);
        assert_eq!(budget.state().own.len(), MOST_NETWORKS);
        let lines = u64::from(networks) - written as u64;
        assert_eq!(budget.due(now + MINUTE), [More { network: None, event: "refused", lines }]);
        // Those whose minute is over make room.
        assert_eq!(budget.line(of(9_999), "refused", now + MINUTE), Line::Write);
        assert_eq!(budget.state().own.len(), 1);
    }
}
