//! Who takes what now: from the pools and the standing of each account to the leases to ask for. Pure.
//!
//! ```text
//!   pool "office,backup"   alarm  -> office may     -> lease for office
//!                          normal -> office is full, backup may -> lease for backup   (overflow)
//!                          bulk   -> nobody may     -> closed until the first of them opens
//! ```
//!
//! The first account of a pool that may be used takes its mail; the next one only when the first one's budget is spent
//! (overflow), or when it rests (failover). An account that is merely busy is waited for: taking another one would put
//! another sender on the mail for nothing. In a pool that spreads, the account with the least load takes the next one.
//! Not here: what a budget or a breaker says (`budget`, `breaker`), and the messages themselves (`queue`).
//!
//! Invariants: a probe is one message, with nothing else under way; within one account the wants stand in the order of
//! the lanes, so that an alarm of any pool goes before ordinary mail of any other.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::entry::Want;

/// Some accounts, by their places, that may take the mail of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The pool's text, as messages carry it.
    pub pool: Arc<str>,
    /// Places of the accounts, the first choice first.
    pub accounts: Vec<usize>,
    /// Whether they share the mail, rather than stand in for each other.
    pub spread: bool,
}

/// Whether an account may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// For anything.
    Open,
    /// For one message, to see whether it works again.
    Probe,
    /// Not before then.
    From(Timestamp),
    /// Not before somebody does something.
    Never,
    /// Not before then, because its provider cannot be reached just now: no reason yet to take another account.
    Blip(Timestamp),
}

/// What one account can do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be used.
    pub use_: Use,
    /// For each lane, in the order of [`Lane::ALL`]: how many messages its budget lets go now, or when it lets one go.
    pub lanes: [Result<usize, Timestamp>; 3],
    /// How many more attempts may run beside those that do.
    pub room: usize,
    /// How many attempts run.
    pub under_way: usize,
    /// How much it has carried; only compared.
    pub load: u64,
}

/// What to lease for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Its place.
    pub account: usize,
    /// From where, in order.
    pub wants: Vec<Want>,
    /// At most so many together.
    pub total: usize,
}

/// A lane of a pool from which nobody may take anything now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The pool.
    pub pool: Arc<str>,
    /// The lane.
    pub lane: Lane,
    /// Until when; `None`: until somebody does something about its accounts.
    pub until: Option<Timestamp>,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to lease.
    pub takes: Vec<Take>,
    /// What is closed.
    pub closed: Vec<Closed>,
    /// When the first thing that is closed opens.
    pub wake: Option<Timestamp>,
}

/// What a lane of a pool comes to.
enum Choice {
    /// This account takes it, up to so many.
    Account(usize, usize),
    /// The account that should take it has its hands full.
    Busy,
    /// Nobody.
    Closed(Option<Timestamp>),
}

/// Works out who takes what. `order` is the order in which the lanes go this time.
pub fn plan(lots: &[Lot], standings: &[Standing], order: [Lane; 3]) -> Plan {
    let mut plan = Plan::default();
    let mut takes: Vec<Take> =
        (0..standings.len()).map(|account| Take { account, wants: Vec::new(), total: 0 }).collect();
    for lane in order {
        for lot in lots {
            match choose(lot, standings, lane) {
                Choice::Account(account, limit) => {
                    let pool = lot.pool.to_string();
                    takes[account].wants.push(Want { pool, lane, limit });
                    takes[account].total = takes[account].total.max(limit);
                }
                Choice::Busy => {}
                Choice::Closed(until) => plan.closed.push(Closed { pool: lot.pool.clone(), lane, until }),
            }
        }
    }
    plan.takes = takes.into_iter().filter(|take| take.total > 0).collect();
    plan.wake = plan.closed.iter().filter_map(|closed| closed.until).min();
    plan
}

/// The account that takes mail of `lane` from this pool now.
fn choose(lot: &Lot, standings: &[Standing], lane: Lane) -> Choice {
    let place = Lane::ALL.iter().position(|&one| one == lane).unwrap_or(1);
    let mut opens: Option<Timestamp> = None;
    let mut candidates = Vec::new();
    for &account in &lot.accounts {
        let Some(standing) = standings.get(account) else { continue };
        let soon = match (standing.use_, standing.lanes[place]) {
            (Use::Never, _) => continue,
            // Not a candidate yet, but nobody else is asked before it is clear that this lasts.
            (Use::Blip(at), _) if !lot.spread && candidates.is_empty() => {
                return Choice::Closed(Some(opens.map_or(at, |o| o.min(at))));
            }
            (Use::From(at) | Use::Blip(at), Ok(_)) => at,
            (Use::From(at) | Use::Blip(at), Err(later)) => at.max(later),
            (Use::Open | Use::Probe, Err(at)) => at,
            (Use::Open | Use::Probe, Ok(left)) => {
                candidates.push((account, left));
                if lot.spread { continue } else { break }
            }
        };
        opens = Some(opens.map_or(soon, |before| before.min(soon)));
    }
    let least = candidates.into_iter().min_by_key(|&(account, _)| {
        let standing = &standings[account];
        // Who has room goes before who has not; then the one that has carried least.
        (limit_of(standing, usize::MAX) == 0, standing.load + standing.under_way as u64)
    });
    match least {
        None => Choice::Closed(opens),
        Some((account, left)) => match limit_of(&standings[account], left) {
            0 => Choice::Busy,
            limit => Choice::Account(account, limit),
        },
    }
}

/// How many messages may begin now: one at most while it is being found out whether the account works.
fn limit_of(standing: &Standing, left: usize) -> usize {
    match standing.use_ {
        Use::Probe if standing.under_way > 0 => 0,
        Use::Probe => left.min(1),
        Use::Open => left.min(standing.room),
        Use::From(_) | Use::Never | Use::Blip(_) => 0,
    }
}

#[cfg(test)]
mod tests;
