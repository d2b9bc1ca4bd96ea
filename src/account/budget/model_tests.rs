//! The budget against a naive model that keeps every event: random events, crashes, and a clock that jumps.

use proptest::prelude::*;

use super::*;
use jiff::tz::TimeZone;

const SHANGHAI: &str = "CST-8";
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
const GRAINS: [u64; 3] = [1, 60, 900];

#[derive(Clone, Debug)]
enum Op {
    Pass(u64),
    Jump(i64),
    Reserve(Lane, u32),
    GiveBack(usize),
    Login,
    Teach(Window),
    Crash,
    /// Until the last refusal said.
    Wait,
}

/// One reservation or log-in: when it was by the clock of that time, and as the clock sees it now.
#[derive(Clone, Debug)]
struct Happened {
    written: Timestamp,
    at: Timestamp,
    spent: Spent,
    undone: bool,
    /// The windows in which it was seen to be over; a clock that is set back then does not bring it back.
    over: [bool; 3],
}

struct Model {
    limits: BudgetLimits,
    budget: Budget,
    now: Timestamp,
    /// What truly happened.
    events: Vec<Happened>,
    /// What the budget may think has happened: later after a crash, and more after a clock that was set back.
    counted: Vec<(Timestamp, Spent)>,
    open: Vec<(Reservation, usize, usize)>,
    vain: [Option<Timestamp>; 3],
    closed: Option<Timestamp>,
    taught: bool,
    hint: Timestamp,
}

impl Model {
    fn new(limits: BudgetLimits) -> Model {
        let now = Timestamp::from_millis(1_795_017_600_000 - 3_000);
        let (events, counted, open, budget) = (vec![], vec![], vec![], Budget::new(limits.clone()));
        Model { limits, budget, now, events, counted, open, vain: [None; 3], closed: None, taught: false, hint: now }
    }

    /// The clock shows `now`: what lies in the future happens now.
    fn clock(&mut self, now: Timestamp) {
        if now < self.now {
            // It is looked at all the time; a jump back and forth between two looks would leave no trace.
            let _ = self.budget.opens(Lane::Alarm, now);
            self.vain.iter_mut().flatten().for_each(|since| *since = now.min(*since));
            self.events.iter_mut().for_each(|event| event.at = event.at.min(now));
            self.counted.iter_mut().for_each(|(at, _)| *at = now.min(*at));
            // A closing ends earlier now; that has tests of its own.
            self.closed = None;
            // Where a reservation is given back now, the budget may not find it.
            self.open.iter_mut().for_each(|(_, _, counted)| *counted = usize::MAX);
        }
        self.now = now;
        for place in 0..self.events.len() {
            let inside = Window::ALL.map(|window| self.inside(self.events[place].at, window));
            let over = &mut self.events[place].over;
            over.iter_mut().zip(inside).for_each(|(over, inside)| *over |= !inside);
        }
    }

    fn inside(&self, at: Timestamp, window: Window) -> bool {
        match (&self.limits.day, window) {
            (Day::Calendar(zone), Window::Day) => {
                let date = |at: Timestamp| {
                    jiff::Timestamp::from_millisecond(at.millis()).unwrap().to_zoned(zone.clone()).date()
                };
                date(at) == date(self.now)
            }
            (Day::Calendar(_) | Day::Rolling, _) => self.now.since(at) < window.length(),
        }
    }

    fn used(&self, unit: Unit, window: Window) -> u32 {
        let counts = |event: &&Happened| !event.undone && !event.over[window as usize];
        self.events.iter().filter(counts).map(|event| event.spent.of(unit)).sum()
    }

    fn each(&self) -> impl Iterator<Item = (Unit, Window, u32)> {
        Unit::ALL
            .into_iter()
            .flat_map(|unit| Window::ALL.map(|window| (unit, window)))
            .filter_map(|(unit, window)| self.limits.of(unit, window).map(|limit| (unit, window, limit)))
    }

    fn spend(&mut self, spent: Spent) {
        self.events.push(Happened { written: self.now, at: self.now, spent, undone: false, over: [false; 3] });
        self.counted.push((self.now, spent));
        for (unit, window, limit) in self.each() {
            let used = self.used(unit, window);
            assert!(used <= limit, "{unit:?} in a {window:?}: {used} of {limit} at {:?}", self.now);
        }
    }

    fn reserve(&mut self, lane: Lane, asked: u32) {
        let now = self.now;
        match self.budget.reserve(lane, asked, now) {
            Ok(reservation) => {
                assert!((1..=asked).contains(&reservation.recipients));
                assert!(self.closed.is_none_or(|until| until <= now), "the window is closed");
                self.spend(Spent { messages: 1, recipients: reservation.recipients, logins: 0 });
                let full = self.each().any(|(unit, window, limit)| {
                    unit != Unit::Logins && self.used(unit, window) > crate::account::lane::share(lane, limit)
                });
                let patient = self.vain[lane as usize].is_some_and(|since| now.since(since) >= PATIENCE);
                assert!(!full || (patient && reservation.recipients == 1), "{lane:?} took of the reserve");
                self.vain[lane as usize] = None;
                self.open.push((reservation, self.events.len() - 1, self.counted.len() - 1));
            }
            Err(at) => {
                self.vain[lane as usize].get_or_insert(now);
                self.refused(lane, at);
                self.hint = at;
            }
        }
    }

    /// A refusal names a time that is neither past nor too far, and true.
    fn refused(&self, lane: Lane, at: Timestamp) {
        assert!(self.now < at, "refused until the past");
        let longest = match self.limits.day {
            Day::Rolling => 24 * 3600 + 900,
            // The rest of this day, and the next one where the clock was set back over midnight.
            Day::Calendar(_) => 49 * 3600,
        };
        assert!(at.since(self.now) <= Duration::from_secs(longest), "stuck until {at:?} at {:?}", self.now);
        let mut later = self.budget.clone();
        assert!(later.reserve(lane, 1, at).is_ok(), "the time that was named is not true");
        if lane == Lane::Alarm && !self.taught && self.limits.day == Day::Rolling {
            assert!(at <= self.exact(), "stuck for longer than a bucket: until {at:?}");
        }
    }

    /// When every window, longer by one bucket, has room for an alarm.
    fn exact(&self) -> Timestamp {
        let sending = self.each().filter(|(unit, _, _)| *unit != Unit::Logins);
        let opens = sending.map(|(unit, window, limit)| {
            let mut counted = self.counted.clone();
            counted.sort_by_key(|(at, _)| *at);
            let length = window.length() + Duration::from_secs(GRAINS[window as usize]);
            let inside = |from: Timestamp, at: Timestamp| from.since(at) < length;
            let used = |from: Timestamp| -> u32 {
                counted.iter().filter(|(at, _)| inside(from, *at)).map(|(_, spent)| spent.of(unit)).sum()
            };
            if used(self.now) < limit {
                return self.now;
            }
            let ends = counted.iter().map(|(at, _)| *at + length).filter(|end| self.now < *end);
            ends.into_iter().find(|end| used(*end) < limit).unwrap()
        });
        opens.max().unwrap_or(self.now)
    }

    fn give_back(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let (reservation, event, counted) = self.open.swap_remove(which % self.open.len());
        self.events[event].undone = true;
        if let Some(counted) = self.counted.get_mut(counted) {
            counted.1 = Spent::default();
        }
        let (lane, since) = reservation.vain;
        let since = since.map(|since| since.min(self.now));
        self.vain[lane as usize] = self.vain[lane as usize].or(since);
        self.budget.give_back(reservation, self.now);
    }

    /// The process is killed; the database has a row for each minute.
    fn crash(&mut self) {
        let mut rows: Vec<(Timestamp, Spent)> = Vec::new();
        for event in self.events.iter().filter(|event| !event.undone) {
            let minute = Timestamp::from_millis(event.written.millis().div_euclid(60_000) * 60_000);
            match rows.iter_mut().find(|(at, _)| *at == minute) {
                Some((_, spent)) => spent.add(&event.spent),
                None => rows.push((minute, event.spent)),
            }
        }
        let learnt = serde_json::to_string(&self.budget.learnt()).unwrap();
        self.budget = Budget::new(self.limits.clone());
        self.budget.restore(serde_json::from_str(&learnt).unwrap());
        self.budget.load(rows.clone(), self.now);
        let end = |at: Timestamp| (at + Duration::from_millis(59_999)).min(self.now);
        self.counted = rows.into_iter().map(|(at, spent)| (end(at), spent)).collect();
        self.open.clear();
        self.vain = [None; 3];
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Pass(millis) => self.clock(self.now + Duration::from_millis(*millis)),
            Op::Jump(millis) => self.clock(Timestamp::from_millis(self.now.millis() + millis)),
            Op::Wait => self.clock(self.now.max(self.hint)),
            Op::Reserve(lane, recipients) => self.reserve(*lane, *recipients),
            Op::GiveBack(which) => self.give_back(*which),
            Op::Crash => self.crash(),
            Op::Teach(window) => {
                self.taught = true;
                self.closed = self.closed.max(Some(self.budget.teach(*window, self.now)));
            }
            Op::Login => match self.budget.login(self.now) {
                Ok(()) => self.spend(Spent { logins: 1, ..Spent::default() }),
                Err(closed) => assert!(self.now < closed.until && self.budget.clone().login(closed.until).is_ok()),
            },
        }
    }
}

fn limit(most: u32) -> impl Strategy<Value = Option<u32>> {
    prop_oneof![1 => Just(None), 3 => (1..=most).prop_map(Some)]
}

fn windows(most: [u32; 3]) -> impl Strategy<Value = Windows> {
    (limit(most[0]), limit(most[1]), limit(most[2])).prop_map(|(minute, hour, day)| Windows { minute, hour, day })
}

fn limits() -> impl Strategy<Value = BudgetLimits> {
    let zone = |posix: &str| Day::Calendar(TimeZone::posix(posix).unwrap());
    let day = prop_oneof![2 => Just(Day::Rolling), 1 => Just(zone(SHANGHAI)), 1 => Just(zone(NEW_YORK))];
    (windows([8, 15, 25]), windows([12, 30, 40]), windows([3, 6, 9]), day)
        .prop_map(|(messages, recipients, logins, day)| BudgetLimits { messages, recipients, logins, day })
}

fn pass() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..3_000u64, 3 => 0..90_000u64, 2 => 0..4_000_000u64, 1 => 0..90_000_000u64]
}

fn op() -> impl Strategy<Value = Op> {
    let jump = prop_oneof![-3_000..3_000i64, -7_200_000..7_200_000i64, -70_000_000_000..70_000_000_000i64];
    let lane = prop_oneof![2 => Just(Lane::Alarm), 2 => Just(Lane::Normal), 1 => Just(Lane::Bulk)];
    let window = prop_oneof![Just(Window::Minute), Just(Window::Hour), Just(Window::Day)];
    prop_oneof![
        12 => (lane, 1..6u32).prop_map(|(lane, recipients)| Op::Reserve(lane, recipients)),
        5 => pass().prop_map(Op::Pass),
        3 => Just(Op::Wait),
        2 => any::<usize>().prop_map(Op::GiveBack),
        2 => Just(Op::Login),
        1 => jump.prop_map(Op::Jump),
        1 => Just(Op::Crash),
        // Seldom: it closes everything.
        1 => prop_oneof![9 => Just(Op::Login), 1 => window.prop_map(Op::Teach)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn never_over_a_limit_never_stuck(limits in limits(), ops in prop::collection::vec(op(), 1..150)) {
        let mut model = Model::new(limits);
        for op in &ops {
            model.step(op);
        }
    }

    #[test]
    fn the_estimate_is_true_to_the_windows(
        limits in limits(),
        before in prop::collection::vec((pass(), 1..4u32), 0..40),
        ahead in prop_oneof![0..60u64, 0..1500u64],
    ) {
        let mut model = Model::new(limits);
        for (millis, recipients) in before {
            model.step(&Op::Pass(millis));
            model.step(&Op::Reserve(Lane::Alarm, recipients));
        }
        let (mut budget, mut at, mut left) = (model.budget.clone(), model.now, ahead);
        let said = budget.when(Lane::Alarm, ahead, at);
        if model.limits.messages == Windows::default() && model.limits.recipients == Windows::default() {
            prop_assert_eq!(said, model.now);
            return Ok(());
        }
        // What happens: one message after the other, each as soon as it may.
        loop {
            match budget.reserve(Lane::Alarm, 1, at) {
                Ok(_) if left == 0 => break,
                Ok(_) => left -= 1,
                Err(open) => at = open,
            }
        }
        let error = Duration::from_secs(if ahead < 60 { 0 } else { 25 * 3600 });
        prop_assert!(said + error >= at, "too early: {said:?}, but {at:?}");
        prop_assert!(said <= at + error, "too late: {said:?}, but {at:?}");
    }
}
