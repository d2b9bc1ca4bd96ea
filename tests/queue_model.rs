//! A queue that fits on a page, run beside the real one under random actions, crashes included.
//!
//! After every step both must give the same list, the same depth and the same next time. A crash is a copy of the
//! folder while the queue is open: what a power cut after the last answer would leave.

mod mailbag;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mailbag::*;
use proptest::prelude::*;
use yizhan::clock::Timestamp;
use yizhan::mail::Id;
use yizhan::queue::body::Stored;
use yizhan::queue::entry::{Next, Outcome, State, state_after};
use yizhan::queue::sqlite::Sqlite;
use yizhan::queue::{Depth, Filter, Lease, Queue};

/// How a try may end in the model.
#[derive(Clone, Debug)]
enum End {
    Delivered,
    Partial,
    Deferred(u64),
    Waiting(u64),
    Failed,
    FailedWithNotice,
}

/// Numbers choose among what there is, modulo how many there are.
#[derive(Clone, Debug)]
enum Action {
    Put { recipients: usize, long: bool },
    Lease(usize),
    Settle(usize, End, bool),
    DropLease(usize),
    Retry(usize),
    Drop(usize),
    Wake,
    Purge,
    Advance(u64),
    Reopen,
    Crash,
}

fn actions() -> impl Strategy<Value = Action> {
    let end = prop_oneof![
        3 => Just(End::Delivered),
        1 => Just(End::Partial),
        2 => (1..400u64).prop_map(End::Deferred),
        2 => (1..400u64).prop_map(End::Waiting),
        1 => Just(End::Failed),
        1 => Just(End::FailedWithNotice),
    ];
    prop_oneof![
        8 => (1..4usize, prop::bool::weighted(0.1)).prop_map(|(recipients, long)| Action::Put { recipients, long }),
        6 => (1..4usize).prop_map(Action::Lease),
        8 => (any::<usize>(), end, any::<bool>()).prop_map(|(n, end, uncertain)| Action::Settle(n, end, uncertain)),
        2 => any::<usize>().prop_map(Action::DropLease),
        2 => any::<usize>().prop_map(Action::Retry),
        1 => any::<usize>().prop_map(Action::Drop),
        1 => Just(Action::Wake),
        1 => Just(Action::Purge),
        3 => (1..500u64).prop_map(Action::Advance),
        1 => Just(Action::Reopen),
        1 => Just(Action::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Kept {
    /// The order of arrival, which decides among messages that became due together.
    seq: u64,
    state: State,
    leased: bool,
    due: Timestamp,
    received: Timestamp,
    expires: Timestamp,
    finished: Timestamp,
    tries: u32,
    uncertain: u32,
    size: u64,
    outcomes: Vec<Outcome>,
}

impl Kept {
    fn shown(&self) -> State {
        if self.leased { State::Sending } else { self.state }
    }

    fn may_go(&self) -> bool {
        !self.leased && !self.state.is_final()
    }
}

/// The whole queue, as a map.
#[derive(Default)]
struct Model {
    messages: BTreeMap<Id, Kept>,
    next: u64,
}

impl Model {
    fn put(&mut self, id: Id, received: Timestamp, recipients: usize, size: u64) {
        self.next += 1;
        let kept = Kept {
            seq: self.next,
            state: State::Queued,
            leased: false,
            due: received,
            received,
            expires: received + LIFE,
            finished: received,
            tries: 0,
            uncertain: 0,
            size,
            outcomes: vec![Outcome::Open { last: None }; recipients],
        };
        self.messages.insert(id, kept);
    }

    fn lease(&mut self, now: Timestamp, limit: usize) -> Vec<Id> {
        let mut due: Vec<_> = self.messages.iter_mut().filter(|(_, m)| m.may_go() && m.due <= now).collect();
        due.sort_by_key(|(_, m)| (m.due, m.seq));
        due.into_iter().take(limit).map(|(id, m)| (m.leased = true, *id).1).collect()
    }

    fn settle(&mut self, id: Id, outcomes: &[(usize, Outcome)], next: Next, uncertain: bool) {
        let m = self.messages.get_mut(&id).unwrap();
        for (place, outcome) in outcomes {
            if m.outcomes[*place].is_open() {
                m.outcomes[*place] = outcome.clone();
            }
        }
        m.leased = false;
        m.state = state_after(&m.outcomes, next);
        m.uncertain += u32::from(uncertain);
        let (at, counts) = match next {
            Next::Deferred(at) => (at, true),
            Next::Waiting(at) => (at, false),
        };
        m.tries += u32::from(counts && m.state != State::Delivered);
        let decided = |o: &Outcome| match o {
            Outcome::Open { .. } => None,
            Outcome::Delivered { at, .. } | Outcome::Failed { at, .. } => Some(*at),
        };
        if m.state.is_final() {
            m.finished = m.outcomes.iter().filter_map(decided).max().unwrap();
            m.due = m.received;
        } else {
            m.due = at;
        }
    }

    fn retry(&mut self, id: Id, now: Timestamp) -> bool {
        let m = self.messages.get_mut(&id).unwrap();
        if m.leased || m.state == State::Delivered {
            return false;
        }
        for outcome in &mut m.outcomes {
            if let Outcome::Failed { reason, .. } = outcome {
                *outcome = Outcome::Open { last: Some(reason.clone()) };
            }
        }
        if m.expires <= now {
            m.expires = now + m.expires.since(m.received);
        }
        (m.state, m.due) = (State::Queued, now);
        true
    }

    fn depth(&self) -> Depth {
        let mut depth = Depth::default();
        for m in self.messages.values() {
            depth.messages[m.shown() as usize] += 1;
            if !m.state.is_final() {
                depth.bytes += m.size;
                depth.oldest = Some(depth.oldest.map_or(m.received, |o| o.min(m.received)));
            }
        }
        depth
    }
}

/// The real queue, the model, and what is in hand.
struct Pair {
    folder: Folder,
    queue: Option<Sqlite>,
    model: Model,
    leases: Vec<Lease>,
    now: Timestamp,
    number: u64,
}

impl Pair {
    fn queue(&self) -> &Sqlite {
        self.queue.as_ref().unwrap()
    }

    fn pick(&self, n: usize) -> Option<Id> {
        let count = self.model.messages.len();
        (count > 0).then(|| *self.model.messages.keys().nth(n % count).unwrap())
    }

    async fn step(&mut self, action: Action) {
        match action {
            Action::Put { recipients, long } => {
                self.number += 1;
                let len = if long { 150_000 } else { (self.number * 97 % 3_000) as usize };
                let stored = body(self.queue(), self.number, len).await;
                let new = message(self.number, self.now, recipients, stored);
                self.model.put(new.id, self.now, recipients, new.head.len() as u64 + len as u64);
                self.queue().put(new).await.unwrap();
            }
            Action::Lease(limit) => {
                let leases = lease_due(self.queue(), self.now, limit).await.unwrap();
                let expected = self.model.lease(self.now, limit);
                assert_eq!(leases.iter().map(|l| l.entry.id).collect::<Vec<_>>(), expected);
                for lease in &leases {
                    let number: u64 =
                        String::from_utf8_lossy(&lease.head)[9..].split('\r').next().unwrap().parse().unwrap();
                    let len = lease.body.len() as usize;
                    assert_eq!(read(&lease.body).await.unwrap(), noise(number, len));
                }
                self.leases.extend(leases);
            }
            Action::Settle(n, end, uncertain) if !self.leases.is_empty() => self.settle(n, end, uncertain).await,
            Action::DropLease(n) if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(n % self.leases.len());
                self.model.messages.get_mut(&lease.entry.id).unwrap().leased = false;
            }
            Action::Settle(..) | Action::DropLease(_) => {}
            Action::Retry(n) => {
                let Some(id) = self.pick(n) else { return };
                let done = self.queue().retry(id, self.now).await.is_ok();
                assert_eq!(done, self.model.retry(id, self.now));
            }
            Action::Drop(n) => {
                let Some(id) = self.pick(n) else { return };
                let done = self.queue().drop_message(id).await.is_ok();
                assert_eq!(done, !self.model.messages[&id].leased);
                self.model.messages.retain(|other, _| !done || *other != id);
            }
            Action::Wake => {
                self.queue().wake(self.now).await.unwrap();
                for m in self.model.messages.values_mut().filter(|m| m.state == State::Waiting) {
                    m.due = m.due.min(self.now);
                }
            }
            Action::Purge => {
                self.queue().purge(self.now).await.unwrap();
                let now = self.now;
                self.model.messages.retain(|_, m| match m.state {
                    State::Delivered => m.finished >= now - KEEP,
                    State::Failed => m.finished >= now - KEEP * 2,
                    _ => true,
                });
            }
            Action::Advance(seconds) => self.now = self.now + Duration::from_secs(seconds),
            Action::Reopen => {
                self.queue().close().await.unwrap();
                self.open_again();
            }
            Action::Crash => {
                let copy = Folder::new();
                copy_all(self.folder.path(), copy.path());
                self.queue = None;
                self.folder = copy;
                self.open_again();
            }
        }
    }

    async fn settle(&mut self, n: usize, end: End, uncertain: bool) {
        let lease = self.leases.swap_remove(n % self.leases.len());
        let id = lease.entry.id;
        let open: Vec<usize> = lease.entry.open().map(|(place, _)| place).collect();
        let later = |seconds: u64| self.now + Duration::from_secs(seconds);
        let delivered = Outcome::Delivered { at: self.now, reply: "250 ok".to_owned() };
        let failed = Outcome::Failed { at: self.now, reason: "550 no".to_owned() };
        let all = |outcome: &Outcome| open.iter().map(|&place| (place, outcome.clone())).collect::<Vec<_>>();
        let (outcomes, next) = match end {
            End::Delivered => (all(&delivered), Next::Deferred(later(60))),
            End::Partial => (vec![(open[0], delivered)], Next::Deferred(later(60))),
            End::Deferred(seconds) => (all(&again()), Next::Deferred(later(seconds))),
            End::Waiting(seconds) => (vec![], Next::Waiting(later(seconds))),
            End::Failed | End::FailedWithNotice => (all(&failed), Next::Deferred(later(60))),
        };
        self.model.settle(id, &outcomes, next, uncertain);
        let mut settlement = settlement(outcomes, next);
        settlement.uncertain = uncertain;
        if let End::FailedWithNotice = end {
            self.number += 1;
            let mut notice =
                message(self.number, self.now, 1, Stored::from(bytes::Bytes::from(noise(self.number, 50))));
            notice.notice = true;
            self.model.put(notice.id, self.now, 1, notice.head.len() as u64 + 50);
            settlement.notice = Some(Box::new(notice));
        }
        self.queue().settle(lease, settlement).await.unwrap();
    }

    /// Opens the queue after a restart: nothing is leased, and nothing is damaged.
    fn open_again(&mut self) {
        self.queue = None;
        self.leases.clear();
        self.model.messages.values_mut().for_each(|m| m.leased = false);
        let (queue, report) = open(self.folder.path()).unwrap();
        // A body whose row was already gone may have been copied before it was unlinked.
        assert!(report.iter().all(|line| line.contains("belongs to no message")), "{report:?}");
        self.queue = Some(queue);
    }

    /// Holds the two against each other.
    async fn compare(&self) {
        let filter = Filter { states: State::ALL.to_vec(), limit: 10_000, ..Filter::default() };
        let real = self.queue().list(filter).await.unwrap();
        assert_eq!(
            real.iter().map(|e| e.id).collect::<Vec<_>>(),
            self.model.messages.keys().copied().collect::<Vec<_>>()
        );
        for (entry, m) in real.iter().zip(self.model.messages.values()) {
            let outcomes: Vec<_> = entry.recipients.iter().map(|r| r.outcome.clone()).collect();
            assert_eq!(outcomes, m.outcomes);
            assert_eq!(
                (entry.state, entry.due, entry.tries, entry.uncertain, entry.expires, entry.size),
                (m.shown(), m.due, m.tries, m.uncertain, m.expires, m.size)
            );
        }
        assert_eq!(self.queue().depth().await.unwrap(), self.model.depth());
        let next = self.model.messages.values().filter(|m| m.may_go()).map(|m| m.due).min();
        assert_eq!(next_due(self.queue()).await, next);
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        // A file that is being unlinked behind the last answer may vanish while it is copied.
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target)
        } else {
            let _ = fs::copy(entry.path(), target);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(actions in prop::collection::vec(actions(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let queue = Some(open_clean(folder.path()));
            let mut pair = Pair { folder, queue, model: Model::default(), leases: Vec::new(), now: START, number: 0 };
            for action in actions {
                pair.step(action).await;
                pair.compare().await;
            }
        });
    }
}
