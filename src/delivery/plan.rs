//! Which account takes from which pool and lane now: from what each account may do to the lease requests. Pure.
//!
//! ```text
//!   pool "office,backup"   alarm  -> office may send         -> lease for office
//!                          normal -> office has no budget    -> lease for backup   (overflow)
//!                          bulk   -> no account may send     -> closed until the first of them opens, with the reason
//! ```
//!
//! The first account of a pool that may be used takes its mail; the next one only when the budget of the first is spent
//! (overflow), or when it cools or is paused (failover). A busy account is waited for: another one would put another
//! sender on the mail without need. In a pool that spreads, the account with the least load takes the next message.
//! Not here: budgets and breakers (`budget`, `breaker`), and which client is next (`queue::fair`).
//!
//! Invariants: a probe is one message, with nothing else under way; an account asks for each lane once, for all pools
//! together, so that the clients of all these pools share it; a lane that is closed has a reason.

use std::sync::Arc;

use crate::account::availability::{Access, Availability};
use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::{ClosedLane, LaneRequest, LeaseRequest, PoolLane, WaitReason};

/// A pool, with the places of its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAccounts {
    /// The pool's text, as messages carry it.
    pub pool: Arc<str>,
    /// Places of the accounts, the first choice first.
    pub accounts: Vec<usize>,
    /// Whether they share the mail, rather than replace each other.
    pub spread: bool,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to lease, with the place of the account.
    pub leases: Vec<(usize, LeaseRequest)>,
    /// What is closed.
    pub closed: Vec<ClosedLane>,
    /// What is open, while all connections of its account are busy.
    pub busy: Vec<PoolLane>,
    /// When the first thing that is closed opens.
    pub wake: Option<Timestamp>,
}

/// Which account serves a lane of a pool.
enum Choice {
    /// This account takes it, up to this many messages.
    Account(usize, usize),
    /// All connections of the account that should take it are in use.
    Busy,
    /// A probe of the account is under way.
    Probed,
    /// No account may.
    Closed(Option<Timestamp>, WaitReason),
}

/// Works out which account takes what. `order` is the order in which the lanes are served this time.
pub fn plan(pools: &[PoolAccounts], accounts: &[Availability], order: [Lane; 3]) -> Plan {
    let mut plan = Plan::default();
    let request = |(status, turns): (&Availability, usize)| LeaseRequest {
        turns: accounts[turns].name.clone(),
        recipients: status.recipients,
        ..LeaseRequest::default()
    };
    let mut leases: Vec<LeaseRequest> = accounts.iter().zip(turns(pools, accounts.len())).map(request).collect();
    for lane in order {
        for pool in pools {
            let line = || PoolLane { pool: pool.pool.to_string(), lane };
            match choose(pool, accounts, lane) {
                Choice::Account(account, limit) => {
                    let LeaseRequest { lanes, total, .. } = &mut leases[account];
                    *total = (*total).max(limit);
                    let name = pool.pool.to_string();
                    match lanes.last_mut().filter(|request| request.lane == lane) {
                        Some(request) => request.pools.push(name),
                        None => lanes.push(LaneRequest { lane, pools: vec![name], limit }),
                    }
                }
                Choice::Busy => plan.busy.push(line()),
                Choice::Probed => {}
                Choice::Closed(until, reason) => {
                    plan.closed.push(ClosedLane { line: line(), until, reason });
                }
            }
        }
    }
    plan.leases = leases.into_iter().enumerate().filter(|(_, request)| request.total > 0).collect();
    plan.wake = plan.closed.iter().filter_map(|closed| closed.until).min();
    plan
}

/// Whose turns the clients of each account take: those of the first account that serves the same pools. The clients of
/// such accounts are the same, so that one clock is fair to them over all of these accounts.
fn turns(pools: &[PoolAccounts], accounts: usize) -> Vec<usize> {
    let serves = |place: usize| pools.iter().map(move |pool| pool.accounts.contains(&place));
    let first = |place: usize| (0..place).find(|&other| serves(other).eq(serves(place))).unwrap_or(place);
    (0..accounts).map(first).collect()
}

/// The account that takes mail of `lane` from this pool now.
fn choose(pool: &PoolAccounts, accounts: &[Availability], lane: Lane) -> Choice {
    // The account that opens first, and why it is closed.
    let mut opens: Option<(Timestamp, &WaitReason)> = None;
    let mut never: Option<&WaitReason> = None;
    let mut candidates = Vec::new();
    for &place in &pool.accounts {
        let Some(status) = accounts.get(place) else { continue };
        let (at, reason) = match (&status.access, &status.lanes[lane as usize]) {
            (Access::Never(reason), _) => {
                never = never.or(Some(reason));
                continue;
            }
            // It may not send yet, but no other account is used before it is clear that this lasts.
            (Access::ShortOutage(at, reason), _) if !pool.spread && candidates.is_empty() => {
                let (at, reason) = opens.filter(|(first, _)| first <= at).unwrap_or((*at, reason));
                return Choice::Closed(Some(at), reason.clone());
            }
            (Access::From(at, reason) | Access::ShortOutage(at, reason), Ok(_)) => (*at, reason),
            (Access::From(at, reason) | Access::ShortOutage(at, reason), Err(spent)) if *at >= spent.until => {
                (*at, reason)
            }
            (_, Err(spent)) => (spent.until, &spent.reason),
            (Access::Open | Access::Probe, Ok(left)) => {
                candidates.push((place, *left));
                if pool.spread { continue } else { break }
            }
        };
        opens = opens.filter(|(first, _)| *first <= at).or(Some((at, reason)));
    }
    let least = candidates.into_iter().min_by_key(|&(place, _)| {
        let status = &accounts[place];
        // An account with room goes first; then the one with the least load.
        (limit_of(status, usize::MAX) == 0, status.load + status.under_way as u64)
    });
    let Some((place, left)) = least else {
        return match opens {
            Some((at, reason)) => Choice::Closed(Some(at), reason.clone()),
            None => Choice::Closed(None, never.cloned().unwrap_or_else(|| no_account(pool))),
        };
    };
    match limit_of(&accounts[place], left) {
        0 if accounts[place].access == Access::Probe => Choice::Probed,
        0 => Choice::Busy,
        limit => Choice::Account(place, limit),
    }
}

/// The reason of a pool none of whose accounts is in the settings.
fn no_account(pool: &PoolAccounts) -> WaitReason {
    WaitReason::Account { account: pool.pool.to_string(), cause: "settings".to_owned(), text: String::new() }
}

/// How many messages may begin now: one at most while it is being found out whether the account works.
fn limit_of(status: &Availability, left: usize) -> usize {
    match status.access {
        Access::Probe if status.under_way > 0 => 0,
        Access::Probe => left.min(1),
        Access::Open => left.min(status.room),
        Access::From(..) | Access::Never(_) | Access::ShortOutage(..) => 0,
    }
}

#[cfg(test)]
mod tests;
