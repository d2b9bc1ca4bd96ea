//! When will a message that waits leave? What goes before it, and what the budgets of its accounts let through until then.
//!
//! An estimate for people. Clients take turns (`queue::fair`), so before a message goes what its own client sent earlier, and
//! of each other client at most as many recipients as that. Only mail of its own lane counts, of all pools that share an
//! account with its pool; what arrives meanwhile is not known. The windows are run forward by `delivery`. Invariant: asking
//! changes nothing.

use std::collections::HashMap;

use crate::mail::{ClientKey, Lane};
use crate::queue::{MessageFilter, MessageState, Queue, QueueEntry, QueueError};

use super::accounts::Accounts;
use super::command::Order;
use super::view::MessageStatus;

/// Waiting messages are looked at up to this number; those behind them get the estimate of this place.
const FARTHEST: usize = 10_000;

/// What waits in one lane, of all pools that share an account: recipients by client.
#[derive(Default)]
struct Ahead<'a> {
    clients: HashMap<&'a ClientKey, u64>,
}

impl<'a> Ahead<'a> {
    fn of(accounts: &dyn Accounts, waiting: &[&'a QueueEntry], pool: &str, lane: Lane) -> Ahead<'a> {
        let mut ahead = Ahead::default();
        let mut rivals: HashMap<&str, bool> = HashMap::new();
        for entry in waiting.iter().filter(|entry| entry.lane == lane) {
            if *rivals.entry(&entry.pool).or_insert_with(|| accounts.share_an_account(pool, &entry.pool)) {
                *ahead.clients.entry(&entry.origin.key).or_default() += recipients(entry);
            }
        }
        ahead
    }

    /// Recipients that go before a message of this client which has `before` of its own before it.
    fn before(&self, key: &ClientKey, before: u64, own: u64) -> u64 {
        let others = self.clients.iter().filter(|(client, _)| **client != key);
        before + others.map(|(_, waiting)| (*waiting).min(before + own)).sum::<u64>()
    }
}

/// A line of a list: what is ahead in it, and the recipients of each client that were listed so far.
type Line<'a> = (Ahead<'a>, HashMap<&'a ClientKey, u64>);

fn recipients(entry: &QueueEntry) -> u64 {
    entry.open().count() as u64
}

/// The messages of a list, with the times at which those that wait may leave. What the list leaves out is not counted.
pub(super) fn of_list(accounts: &dyn Accounts, entries: &[QueueEntry], order: Order) -> Vec<MessageStatus> {
    match order {
        Order::Oldest => oldest_first(accounts, entries.iter()),
        Order::Newest => {
            let mut messages = oldest_first(accounts, entries.iter().rev());
            messages.reverse();
            messages
        }
    }
}

fn oldest_first<'a>(
    accounts: &dyn Accounts,
    entries: impl Iterator<Item = &'a QueueEntry> + Clone,
) -> Vec<MessageStatus> {
    let waiting: Vec<&QueueEntry> = entries.clone().filter(|entry| entry.state == MessageState::Waiting).collect();
    let mut lines: HashMap<(&str, Lane), Line<'_>> = HashMap::new();
    let mut messages = Vec::new();
    for entry in entries {
        let message = MessageStatus::from(entry);
        if entry.state != MessageState::Waiting {
            messages.push(message);
            continue;
        }
        let line = lines.entry((&entry.pool, entry.lane));
        let (ahead, own) =
            line.or_insert_with(|| (Ahead::of(accounts, &waiting, &entry.pool, entry.lane), HashMap::new()));
        let before = own.entry(&entry.origin.key).or_default();
        let all = ahead.before(&entry.origin.key, *before, recipients(entry));
        *before += recipients(entry);
        messages.push(message.with_forecast(accounts, entry, all));
    }
    messages
}

/// One message, with the time at which it may leave if it waits.
///
/// # Errors
/// The queue could not be read.
pub(super) async fn of_one(
    queue: &dyn Queue,
    accounts: &dyn Accounts,
    entry: &QueueEntry,
) -> Result<MessageStatus, QueueError> {
    let message = MessageStatus::from(entry);
    if entry.state != MessageState::Waiting {
        return Ok(message);
    }
    let filter = MessageFilter { states: vec![MessageState::Waiting], limit: FARTHEST, ..MessageFilter::default() };
    let waiting = queue.list(filter).await?;
    let waiting: Vec<&QueueEntry> = waiting.iter().collect();
    let own = waiting.iter().take_while(|other| other.id < entry.id);
    let own = own.filter(|other| other.lane == entry.lane && other.pool == entry.pool);
    let before = own.filter(|other| other.origin.key == entry.origin.key).map(|other| recipients(other)).sum();
    let ahead = Ahead::of(accounts, &waiting, &entry.pool, entry.lane);
    Ok(message.with_forecast(accounts, entry, ahead.before(&entry.origin.key, before, recipients(entry))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_waits_for_one_newsletter_and_a_newsletter_for_those_before_it_and_the_scan() {
        let (news, scan) = (ClientKey::stored("192.0.2.1"), ClientKey::stored("192.0.2.2"));
        let ahead = Ahead { clients: HashMap::from([(&news, 5000), (&scan, 1)]) };
        assert_eq!(ahead.before(&scan, 0, 1), 1);
        assert_eq!(ahead.before(&news, 0, 1), 1);
        assert_eq!(ahead.before(&news, 4999, 1), 5000);
        assert_eq!(ahead.before(&scan, 0, 30), 30);
    }
}
