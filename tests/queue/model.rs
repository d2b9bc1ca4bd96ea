//! A queue that fits on a page, run beside the real one under random actions, crashes included.
//!
//! After every step both must give the same list, the same depth, the same next time, and the same of what is kept of
//! accounts. A crash is a copy of the
//! folder while the queue is open: what a power cut after the last answer would leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::mailbag::*;
use proptest::prelude::*;
use yizhan::clock::Timestamp;
use yizhan::mail::{ClientKey, Id, Lane};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    AccountState, AccountStore as _, AccountUsage, ClosedLane, HoldReason, Inspection as _, KEEP_USAGE, Lease,
    MessageFilter, MessageQueue as _, MessageState, NewMessage, NextAttempt, PoolLane, Queue, QueueDepth,
    RecipientOutcome, StoredBody, WaitReason, state_after,
};

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
    Put {
        recipients: usize,
        long: bool,
        pool: usize,
        lane: usize,
        client: u8,
    },
    /// What is wanted, as numbers of pools and lanes with a limit, and how many of all.
    Lease(Vec<(usize, usize, usize)>, usize),
    Settle(usize, End, bool, Extra),
    DropLease(usize),
    Retry(usize),
    /// A message, and the number of a reason.
    Hold(usize, usize),
    Release(usize),
    Drop(usize),
    /// The clock is set back by so many seconds, and a wait may last so many.
    SetBack(u64, u64),
    Purge,
    Assign(Vec<(usize, usize)>),
    /// Pools and lanes to close, and for how many seconds.
    Close(Vec<(usize, usize, u64)>),
    Spend(usize),
    Remember(usize, u8),
    /// Whether by a digest, and how many of the untold.
    Tell(bool, usize),
    Advance(u64),
    Reopen,
    Crash,
}

/// What else a settlement says.
#[derive(Clone, Debug)]
struct Extra {
    account: usize,
    state: Option<u8>,
    chunk: Option<u32>,
    strict: bool,
    untold: bool,
}

/// The pools and the accounts of the model.
const POOLS: [&str; 4] = ["", "a", "a,b", "旧"];
const ACCOUNTS: [&str; 2] = ["a", "b"];
/// The client of messages that name none.
const OTHER_CLIENT: u8 = 255;

fn extra() -> impl Strategy<Value = Extra> {
    let chunk = prop::option::weighted(0.2, 1..50u32);
    (0..2usize, prop::option::of(any::<u8>()), chunk, prop::bool::weighted(0.2), any::<bool>())
        .prop_map(|(account, state, chunk, strict, untold)| Extra { account, state, chunk, strict, untold })
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
        8 => (1..4usize, prop::bool::weighted(0.1), 0..4usize, 0..3usize, 0..3u8)
            .prop_map(|(recipients, long, pool, lane, client)| Action::Put { recipients, long, pool, lane, client }),
        8 => (prop::collection::vec((0..4usize, 0..3usize, 0..4usize), 0..6), 0..6usize)
            .prop_map(|(wants, total)| Action::Lease(wants, total)),
        8 => (any::<usize>(), end, any::<bool>(), extra())
            .prop_map(|(n, end, uncertain, extra)| Action::Settle(n, end, uncertain, extra)),
        2 => prop::collection::vec((any::<usize>(), 0..4usize), 0..4).prop_map(Action::Assign),
        2 => prop::collection::vec((0..4usize, 0..3usize, 0..300u64), 0..6).prop_map(Action::Close),
        1 => (0..2usize).prop_map(Action::Spend),
        1 => (0..2usize, any::<u8>()).prop_map(|(account, state)| Action::Remember(account, state)),
        2 => (any::<bool>(), 0..3usize).prop_map(|(digest, n)| Action::Tell(digest, n)),
        2 => any::<usize>().prop_map(Action::DropLease),
        2 => any::<usize>().prop_map(Action::Retry),
        2 => (any::<usize>(), 0..3usize).prop_map(|(n, reason)| Action::Hold(n, reason)),
        2 => any::<usize>().prop_map(Action::Release),
        1 => any::<usize>().prop_map(Action::Drop),
        1 => (0u64..2_000, 0u64..400).prop_map(|(back, longest)| Action::SetBack(back, longest)),
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
    state: MessageState,
    leased: bool,
    due: Timestamp,
    received: Timestamp,
    expires: Timestamp,
    finished: Timestamp,
    tries: u32,
    uncertain: u32,
    size: u64,
    outcomes: Vec<RecipientOutcome>,
    pool: usize,
    lane: usize,
    client: u8,
    chunk: Option<u32>,
    strict: bool,
    untold: bool,
    held: Option<HoldReason>,
}

impl Kept {
    /// The state and the due time that operators see.
    fn shown(&self, closed: &BTreeMap<(usize, usize), Timestamp>, heard: Timestamp) -> (MessageState, Timestamp) {
        if self.leased {
            return (MessageState::Sending, self.due);
        }
        let due = match self.state {
            MessageState::Queued | MessageState::Waiting => true,
            MessageState::Deferred => self.due <= heard,
            _ => false,
        };
        match closed.get(&(self.pool, self.lane)) {
            Some(&until) if due => (MessageState::Waiting, self.due.max(until)),
            _ => (self.state, self.due),
        }
    }

    fn may_move(&self) -> bool {
        !self.leased && !self.state.is_final()
    }

    fn may_go(&self) -> bool {
        self.may_move() && self.held.is_none()
    }

    /// It is due at `now`, with a new life when it has expired.
    fn let_go(&mut self, now: Timestamp) {
        if self.expires <= now {
            self.expires = now + self.expires.since(self.received);
        }
        (self.state, self.due, self.held) = (MessageState::Queued, now, None);
    }
}

/// The whole queue, as a map.
#[derive(Default)]
struct Model {
    messages: BTreeMap<Id, Kept>,
    next: u64,
    /// By pool and lane.
    closed: BTreeMap<(usize, usize), Timestamp>,
    /// The time that the queue was told last.
    heard: Timestamp,
    /// By account and minute.
    usage: BTreeMap<(usize, i64), [u32; 3]>,
    states: BTreeMap<usize, u8>,
}

impl Model {
    fn put(
        &mut self,
        id: Id,
        received: Timestamp,
        recipients: usize,
        size: u64,
        (pool, lane): (usize, usize),
        client: u8,
    ) {
        self.next += 1;
        let kept = Kept {
            seq: self.next,
            state: MessageState::Queued,
            leased: false,
            due: received,
            received,
            expires: received + LIFE,
            finished: received,
            tries: 0,
            uncertain: 0,
            size,
            outcomes: vec![RecipientOutcome::Open { last: None }; recipients],
            pool,
            lane,
            client,
            chunk: None,
            strict: false,
            untold: false,
            held: None,
        };
        self.messages.insert(id, kept);
    }

    /// Each lane in its order, as full as it can be; of each client the longest due first. Which client is next is for
    /// the tests of fair queueing.
    fn lease(&mut self, now: Timestamp, wants: &[(usize, usize, usize)], total: usize, leased: &[Id]) {
        let mut rest = leased;
        for &(pool, lane, limit) in wants {
            let fits = |m: &Kept| m.may_go() && m.due <= now && (m.pool, m.lane) == (pool, lane);
            let due = self.messages.values().filter(|m| fits(m)).count();
            let most = limit.min(total - (leased.len() - rest.len())).min(due);
            let (these, others) = rest.split_at(most);
            rest = others;
            for id in these {
                let own = &self.messages[id];
                assert!(fits(own), "{id} is of this lane and due");
                let before = self.messages.values().filter(|m| fits(m) && m.client == own.client);
                assert!(
                    before.map(|m| (m.due, m.seq)).min() == Some((own.due, own.seq)),
                    "{id} is the first of its client"
                );
                self.messages.get_mut(id).unwrap().leased = true;
            }
        }
        assert!(rest.is_empty(), "no more than was asked for");
    }

    fn spend(&mut self, account: usize, at: Timestamp, counts: [u32; 3]) {
        let minute = self.usage.entry((account, at.millis() / 60_000)).or_default();
        minute.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }

    fn untold(&self) -> Vec<Id> {
        let all = self.messages.iter().filter(|(_, m)| m.untold && m.state == MessageState::Failed);
        all.map(|(id, _)| *id).collect()
    }

    fn settle(&mut self, id: Id, outcomes: &[(usize, RecipientOutcome)], next: NextAttempt, uncertain: bool) {
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
            NextAttempt::Deferred(at) => (at, true),
            NextAttempt::Waiting(at) => (at, false),
        };
        m.tries += u32::from(counts && m.state != MessageState::Delivered);
        let decided = |o: &RecipientOutcome| match o {
            RecipientOutcome::Open { .. } => None,
            RecipientOutcome::Delivered { at, .. } | RecipientOutcome::Failed { at, .. } => Some(*at),
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
        let may_be_retried = matches!(m.held, None | Some(HoldReason::Damaged));
        if m.leased || m.state == MessageState::Delivered || !may_be_retried {
            return false;
        }
        for outcome in &mut m.outcomes {
            if let RecipientOutcome::Failed { reason, .. } = outcome {
                *outcome = RecipientOutcome::Open { last: Some(reason.clone()) };
            }
        }
        m.let_go(now);
        m.untold = false;
        true
    }

    fn hold(&mut self, id: Id, reason: HoldReason) -> bool {
        let m = self.messages.get_mut(&id).unwrap();
        let done = m.may_move();
        if done {
            (m.state, m.due, m.held) = (MessageState::Held, m.received, Some(reason));
        }
        done
    }

    fn release(&mut self, id: Id, now: Timestamp) -> bool {
        let m = self.messages.get_mut(&id).unwrap();
        let done = m.held.is_some();
        if done {
            m.let_go(now);
        }
        done
    }

    fn depth(&self) -> QueueDepth {
        let mut depth = QueueDepth::default();
        for m in self.messages.values() {
            depth.messages[m.shown(&self.closed, self.heard).0 as usize] += 1;
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
    queue: Option<SqliteQueue>,
    model: Model,
    leases: Vec<Lease>,
    now: Timestamp,
    number: u64,
}

impl Pair {
    fn queue(&self) -> &SqliteQueue {
        self.queue.as_ref().unwrap()
    }

    fn pick(&self, n: usize) -> Option<Id> {
        let count = self.model.messages.len();
        (count > 0).then(|| *self.model.messages.keys().nth(n % count).unwrap())
    }

    async fn step(&mut self, action: Action) {
        if let Action::Put { .. } | Action::Lease(..) | Action::Purge = action {
            self.model.heard = self.now;
        }
        match action {
            Action::Put { recipients, long, pool, lane, client } => {
                self.number += 1;
                let len = if long { 150_000 } else { (self.number * 97 % 3_000) as usize };
                let stored = body(self.queue(), self.number, len).await;
                let mut new = message(self.number, self.now, recipients, stored);
                (new.pool, new.lane) = (POOLS[pool].to_owned(), Lane::ALL[lane]);
                new.origin.key = ClientKey::stored(&format!("192.0.2.{client}"));
                self.model.put(new.id, self.now, recipients, new.head.len() as u64 + len as u64, (pool, lane), client);
                self.queue().put(new).await.unwrap();
            }
            Action::Lease(wants, total) => {
                let asked = |&(pool, lane, limit): &(usize, usize, usize)| want(POOLS[pool], Lane::ALL[lane], limit);
                let asked = wants.iter().map(asked).collect();
                let leases = self.queue().lease(self.now, request(asked, total)).await.unwrap();
                let leased: Vec<Id> = leases.iter().map(|l| l.entry.id).collect();
                self.model.lease(self.now, &wants, total, &leased);
                for lease in &leases {
                    let number: u64 =
                        String::from_utf8_lossy(&lease.head)[9..].split('\r').next().unwrap().parse().unwrap();
                    let len = lease.body.len() as usize;
                    assert_eq!(read(&lease.body).await.unwrap(), noise(number, len));
                }
                self.leases.extend(leases);
            }
            Action::Settle(n, end, uncertain, extra) if !self.leases.is_empty() => {
                self.settle(n, end, uncertain, extra).await
            }
            Action::DropLease(n) if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(n % self.leases.len());
                self.model.messages.get_mut(&lease.entry.id).unwrap().leased = false;
            }
            Action::Settle(..) | Action::DropLease(_) => {}
            Action::Retry(n) => {
                let Some(id) = self.pick(n) else { return };
                self.model.heard = self.now;
                let done = self.queue().retry(id, self.now).await.is_ok();
                assert_eq!(done, self.model.retry(id, self.now));
            }
            Action::Hold(n, reason) => {
                let Some(id) = self.pick(n) else { return };
                let reason = HoldReason::ALL[reason];
                let done = self.queue().hold_message(id, reason, format!("{reason:?}")).await.is_ok();
                assert_eq!(done, self.model.hold(id, reason));
            }
            Action::Release(n) => {
                let Some(id) = self.pick(n) else { return };
                self.model.heard = self.now;
                let done = self.queue().release(id, self.now).await.is_ok();
                assert_eq!(done, self.model.release(id, self.now));
            }
            Action::Drop(n) => {
                let Some(id) = self.pick(n) else { return };
                let done = self.queue().drop_message(id).await.is_ok();
                assert_eq!(done, !self.model.messages[&id].leased);
                self.model.messages.retain(|other, _| !done || *other != id);
            }
            Action::SetBack(back, longest) => {
                self.now = (self.now - Duration::from_secs(back)).max(START);
                self.model.heard = self.now;
                let latest = self.now + Duration::from_secs(longest);
                self.queue().correct_times(self.now, latest).await.unwrap();
                for m in self.model.messages.values_mut().filter(|m| !m.state.is_final() && m.held.is_none()) {
                    let limit = if m.state == MessageState::Deferred { latest } else { self.now };
                    m.due = if m.due > limit { self.now } else { m.due };
                }
            }
            Action::Purge => {
                self.queue().purge(self.now).await.unwrap();
                let now = self.now;
                self.model.messages.retain(|_, m| match m.state {
                    MessageState::Delivered => m.finished >= now - KEEP,
                    MessageState::Failed => m.finished >= now - KEEP * 2,
                    _ => true,
                });
                let oldest = (now - KEEP_USAGE).millis() / 60_000;
                self.model.usage.retain(|(_, minute), _| *minute >= oldest);
            }
            Action::Assign(changes) => {
                let changes: Vec<_> = changes.into_iter().filter_map(|(n, pool)| Some((self.pick(n)?, pool))).collect();
                let named = changes.iter().map(|(id, pool)| (*id, POOLS[*pool].to_owned())).collect();
                self.queue().assign(named).await.unwrap();
                for (id, pool) in changes {
                    let m = self.model.messages.get_mut(&id).unwrap();
                    m.pool = if m.may_move() { pool } else { m.pool };
                }
            }
            Action::Close(lanes) => {
                let until = |(pool, lane, s)| ((pool, lane), self.now + Duration::from_secs(s));
                let lanes: BTreeMap<_, _> = lanes.into_iter().map(until).collect();
                let name = |(&(pool, lane), &until): (&(usize, usize), &Timestamp)| ClosedLane {
                    line: PoolLane { pool: POOLS[pool].to_owned(), lane: Lane::ALL[lane] },
                    until: Some(until),
                    reason: WaitReason::Unreachable { account: "a".to_owned(), text: "refused".to_owned() },
                };
                self.queue().close_lanes(lanes.iter().map(name).collect()).await.unwrap();
                self.model.closed = lanes;
            }
            Action::Spend(account) => {
                self.queue().add_usage(usage_of(account, self.now, [0, 0, 1])).await.unwrap();
                self.model.spend(account, self.now, [0, 0, 1]);
            }
            Action::Remember(account, state) => {
                self.queue().save_account_state(state_of(account, state)).await.unwrap();
                self.model.states.insert(account, state);
            }
            Action::Tell(digest, n) => {
                let ids: Vec<_> = self.model.untold().into_iter().take(n).collect();
                for id in &ids {
                    self.model.messages.get_mut(id).unwrap().untold = false;
                }
                let notice = digest.then(|| self.notice());
                self.queue().mark_reported(notice, ids).await.unwrap();
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

    /// A notice that the model has taken.
    fn notice(&mut self) -> NewMessage {
        self.number += 1;
        let stored = StoredBody::from(bytes::Bytes::from(noise(self.number, 50)));
        let mut notice = message(self.number, self.now, 1, stored);
        notice.notice = true;
        self.model.put(notice.id, self.now, 1, notice.head.len() as u64 + 50, (0, 1), OTHER_CLIENT);
        notice
    }

    async fn settle(&mut self, n: usize, end: End, uncertain: bool, extra: Extra) {
        let lease = self.leases.swap_remove(n % self.leases.len());
        let id = lease.entry.id;
        let open: Vec<usize> = lease.entry.open().map(|(place, _)| place).collect();
        let later = |seconds: u64| self.now + Duration::from_secs(seconds);
        let delivered = RecipientOutcome::Delivered { at: self.now, reply: "250 ok".to_owned() };
        let failed = RecipientOutcome::Failed { at: self.now, reason: "550 no".to_owned() };
        let all = |outcome: &RecipientOutcome| open.iter().map(|&place| (place, outcome.clone())).collect::<Vec<_>>();
        let (outcomes, next) = match end {
            End::Delivered => (all(&delivered), NextAttempt::Deferred(later(60))),
            End::Partial => (vec![(open[0], delivered)], NextAttempt::Deferred(later(60))),
            End::Deferred(seconds) => (all(&again()), NextAttempt::Deferred(later(seconds))),
            End::Waiting(seconds) => (vec![], NextAttempt::Waiting(later(seconds))),
            End::Failed | End::FailedWithNotice => (all(&failed), NextAttempt::Deferred(later(60))),
        };
        self.model.settle(id, &outcomes, next, uncertain);
        let mut settlement = settlement(outcomes, next);
        settlement.uncertain = uncertain;
        if let End::FailedWithNotice = end {
            settlement.notice = Some(Box::new(self.notice()));
        }
        let m = self.model.messages.get_mut(&id).unwrap();
        (settlement.chunk, settlement.strict, settlement.unreported) = (extra.chunk, extra.strict, extra.untold);
        (m.chunk, m.strict, m.untold) = (extra.chunk.or(m.chunk), m.strict | extra.strict, m.untold | extra.untold);
        let counts = [1, open.len() as u32, 0];
        settlement.usage = Some(usage_of(extra.account, self.now, counts));
        self.model.spend(extra.account, self.now, counts);
        settlement.account_state = extra.state.map(|state| state_of(extra.account, state));
        self.model.states.extend(extra.state.map(|state| (extra.account, state)));
        self.queue().settle(lease, settlement).await.unwrap();
    }

    /// Opens the queue after a restart: nothing is leased, and nothing is damaged.
    fn open_again(&mut self) {
        self.queue = None;
        self.leases.clear();
        self.model.messages.values_mut().for_each(|m| m.leased = false);
        (self.model.closed, self.model.heard) = (BTreeMap::new(), Timestamp::from_millis(i64::MIN));
        let (queue, report) = open(self.folder.path()).unwrap();
        // A body whose row was already gone may have been copied before it was unlinked.
        assert!(report.iter().all(|line| line.contains("belongs to no message")), "{report:?}");
        self.queue = Some(queue);
    }

    /// Holds the two against each other.
    async fn compare(&self) {
        let filter = MessageFilter { states: MessageState::ALL.to_vec(), limit: 10_000, ..MessageFilter::default() };
        let real = self.queue().list(filter).await.unwrap();
        assert_eq!(
            real.iter().map(|e| e.id).collect::<Vec<_>>(),
            self.model.messages.keys().copied().collect::<Vec<_>>()
        );
        for (entry, m) in real.iter().zip(self.model.messages.values()) {
            let outcomes: Vec<_> = entry.recipients.iter().map(|r| r.outcome.clone()).collect();
            assert_eq!(outcomes, m.outcomes);
            let (state, due) = m.shown(&self.model.closed, self.model.heard);
            assert_eq!(
                (entry.state, entry.due, entry.tries, entry.uncertain, entry.expires, entry.size),
                (state, due, m.tries, m.uncertain, m.expires, m.size)
            );
            assert_eq!(
                (entry.pool.as_str(), entry.lane, entry.chunk, entry.strict),
                (POOLS[m.pool], Lane::ALL[m.lane], m.chunk, m.strict)
            );
            let text = m.held.map(|reason| format!("{reason:?}"));
            assert_eq!((entry.held, &entry.trouble), (m.held, &text));
        }
        let mut depth = self.queue().depth().await.unwrap();
        let all = self.queue().list(MessageFilter { limit: 10_000, ..MessageFilter::default() }).await.unwrap();
        for (place, kind) in WaitReason::KINDS.into_iter().enumerate() {
            let listed =
                all.iter().filter(|entry| entry.wait.as_ref().is_some_and(|wait| wait.place() == place)).count();
            assert_eq!(std::mem::take(&mut depth.waiting[place]), listed as u64, "{kind}");
        }
        assert_eq!(depth, self.model.depth());
        for state in MessageState::ALL {
            let filter = MessageFilter { states: vec![state], limit: 10_000, ..MessageFilter::default() };
            let listed = self.queue().list(filter).await.unwrap();
            assert_eq!(listed.len() as u64, depth.messages[state as usize], "{state}");
        }
        self.compare_pools().await;
        self.compare_accounts().await;
    }

    async fn compare_pools(&self) {
        let next = |pools: &[usize]| {
            let may_go = self.model.messages.values().filter(|m| m.may_go() && pools.contains(&m.pool));
            may_go.map(|m| m.due).min()
        };
        let mut counts = Vec::new();
        for (pool, name) in POOLS.into_iter().enumerate() {
            let name = name.to_owned();
            assert_eq!(earliest(self.queue(), wants(&name, 1)).await, next(&[pool]));
            let filter = MessageFilter { pool: Some(name.clone()), limit: 10_000, ..MessageFilter::default() };
            let count = self.model.messages.values().filter(|m| m.pool == pool && !m.state.is_final()).count();
            assert_eq!(self.queue().list(filter).await.unwrap().len(), count);
            counts.extend((count > 0).then_some((name, count as u64)));
        }
        assert_eq!(self.queue().pools().await.unwrap(), counts);
        let some = [0, 2];
        let named = some.iter().flat_map(|&pool| wants(POOLS[pool], 1)).collect();
        assert_eq!(earliest(self.queue(), named).await, next(&some));
    }

    async fn compare_accounts(&self) {
        for (account, name) in ACCOUNTS.into_iter().enumerate() {
            let real = self.queue().usage(name.to_owned(), START).await.unwrap();
            let model = self.model.usage.iter().filter(|((a, _), _)| *a == account);
            let model: Vec<_> = model
                .map(|((_, minute), counts)| usage_of(account, Timestamp::from_millis(minute * 60_000), *counts))
                .collect();
            assert_eq!(real, model);
        }
        let states: Vec<_> = self.model.states.iter().map(|(account, state)| state_of(*account, *state)).collect();
        assert_eq!(self.queue().account_states().await.unwrap(), states);
        let untold = self.queue().unreported(10_000).await.unwrap();
        assert_eq!(untold.iter().map(|entry| entry.id).collect::<Vec<_>>(), self.model.untold());
    }
}

fn usage_of(account: usize, at: Timestamp, [messages, recipients, logins]: [u32; 3]) -> AccountUsage {
    AccountUsage { account: ACCOUNTS[account].to_owned(), at, messages, recipients, logins }
}

fn state_of(account: usize, state: u8) -> AccountState {
    AccountState { account: ACCOUNTS[account].to_owned(), state: state.to_string() }
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
