//! The log lines of mail that waits: one when mail begins to wait in a lane, one when the reason becomes another.
//!
//! Not here: the reasons themselves (`plan`), and what an attempt logs about its message (`attempt`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::queue::{ClosedLane, PoolLane, WaitReason};

use super::plan::Plan;

/// How long mail waits for its turn before that is logged.
const LONG_TURN: Duration = Duration::from_secs(60);

/// The lanes in which mail waits, with the kinds of reason that were logged.
#[derive(Debug, Default)]
pub(super) struct WaitLog(BTreeSet<(PoolLane, &'static str)>);

impl WaitLog {
    /// Logs what is new in this plan. `due`: when the first message of each lane is due that is not leased.
    pub(super) fn note(&mut self, plan: &Plan, due: &BTreeMap<PoolLane, Timestamp>, now: Timestamp) {
        for ClosedLane { line, until, reason } in self.begun(plan, due, now) {
            let until = match reason {
                WaitReason::Share => "its turn comes".to_owned(),
                _ => until.map_or_else(|| "an operator acts".to_owned(), Timestamp::rfc3339),
            };
            tracing::info!(
                event = "waiting",
                pool = line.pool,
                lane = line.lane.name(),
                reason = reason.kind(),
                until,
                "{reason}"
            );
        }
    }

    /// The waits that have not been logged. A lane that opens for a moment and closes again is the same wait, as long as mail
    /// is due in it.
    fn begun(&mut self, plan: &Plan, due: &BTreeMap<PoolLane, Timestamp>, now: Timestamp) -> Vec<ClosedLane> {
        let due_for = |line: &PoolLane, time: Duration| due.get(line).is_some_and(|at| *at + time <= now);
        self.0.retain(|(line, _)| due_for(line, Duration::ZERO));
        let closed = plan.closed.iter().filter(|closed| due_for(&closed.line, Duration::ZERO)).cloned();
        let busy = plan.busy.iter().filter(|line| due_for(line, LONG_TURN));
        let busy = busy.map(|line| ClosedLane { line: line.clone(), until: None, reason: WaitReason::Share });
        closed.chain(busy).filter(|wait| self.0.insert((wait.line.clone(), wait.reason.kind()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Lane;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn line(lane: Lane) -> PoolLane {
        PoolLane { pool: "office".into(), lane }
    }

    fn kinds(log: &mut WaitLog, plan: &Plan, due: &[(Lane, Timestamp)], now: Timestamp) -> Vec<&'static str> {
        let due = due.iter().map(|&(lane, at)| (line(lane), at)).collect();
        log.begun(plan, &due, now).iter().map(|wait| wait.reason.kind()).collect()
    }

    #[test]
    fn a_wait_is_logged_when_it_begins_and_when_its_reason_changes() {
        let mut log = WaitLog::default();
        let rests = WaitReason::Account { account: "office".into(), cause: "QQ-A3".into(), text: String::new() };
        let closed = |reason| {
            let wait = ClosedLane { line: line(Lane::Normal), until: None, reason };
            Plan { closed: vec![wait], ..Plan::default() }
        };
        let away = WaitReason::Unreachable { account: "office".into(), text: "refused".into() };
        let due = [(Lane::Normal, NOW)];
        assert_eq!(kinds(&mut log, &closed(rests.clone()), &[], NOW), [""; 0], "no mail waits");
        assert_eq!(kinds(&mut log, &closed(rests.clone()), &due, NOW), ["account"]);
        assert_eq!(kinds(&mut log, &closed(rests.clone()), &due, NOW), [""; 0], "it is the same wait");
        assert_eq!(kinds(&mut log, &closed(away), &due, NOW), ["unreachable"]);
        // All of it has gone; what comes later is another wait.
        assert_eq!(kinds(&mut log, &Plan::default(), &[], NOW), [""; 0]);
        assert_eq!(kinds(&mut log, &closed(rests), &due, NOW), ["account"]);
    }

    #[test]
    fn waiting_for_a_turn_is_logged_after_a_minute() {
        let mut log = WaitLog::default();
        let busy = Plan { busy: vec![line(Lane::Normal), line(Lane::Bulk)], ..Plan::default() };
        let due = [(Lane::Normal, NOW), (Lane::Bulk, NOW + Duration::from_secs(30))];
        assert_eq!(kinds(&mut log, &busy, &due, NOW + Duration::from_secs(59)), [""; 0]);
        assert_eq!(kinds(&mut log, &busy, &due, NOW + Duration::from_secs(60)), ["share"], "the normal one only");
        assert_eq!(kinds(&mut log, &busy, &due, NOW + Duration::from_secs(61)), [""; 0]);
    }
}
