//! When will a message that waits go? Its place in the line, and what the budgets of its accounts let through until then.
//!
//! An estimate for people: the line of its own pool and lane is counted, mail of other lanes is not, and nobody knows what
//! else arrives meanwhile. The windows are run forward by `delivery`. Invariant: asking changes nothing.

use std::collections::HashMap;

use crate::mail::Lane;
use crate::queue::entry::{Entry, State};
use crate::queue::{Error, Filter, Queue};

use super::accounts::Accounts;
use super::order::Message;

/// The line is counted up to so many messages; who stands farther back is told of this place.
const FARTHEST: usize = 10_000;

/// The messages of a list that begins at the head of the line, with the times at which those that wait may go.
pub(super) fn of_list(accounts: &dyn Accounts, entries: &[Entry]) -> Vec<Message> {
    let mut ahead: HashMap<(&str, Lane), u64> = HashMap::new();
    entries.iter().map(|entry| forecast(accounts, entry, &mut ahead)).collect()
}

fn forecast<'a>(accounts: &dyn Accounts, entry: &'a Entry, ahead: &mut HashMap<(&'a str, Lane), u64>) -> Message {
    let message = Message::from(entry);
    if entry.state != State::Waiting {
        return message;
    }
    let line = ahead.entry((&entry.pool, entry.lane)).or_default();
    let before = *line;
    *line += entry.open().count() as u64;
    message.with_forecast(accounts, entry, before)
}

/// One message, with the time at which it may go if it waits.
///
/// # Errors
/// The queue could not be read.
pub(super) async fn of_one(queue: &dyn Queue, accounts: &dyn Accounts, entry: &Entry) -> Result<Message, Error> {
    let message = Message::from(entry);
    if entry.state != State::Waiting {
        return Ok(message);
    }
    let states = vec![State::Waiting];
    let filter = Filter { states, limit: FARTHEST, pool: Some(entry.pool.clone()), ..Filter::default() };
    let line = queue.list(filter).await?;
    let before = line.iter().take_while(|other| other.id < entry.id).filter(|other| other.lane == entry.lane);
    let ahead = before.map(|other| other.open().count() as u64).sum();
    Ok(message.with_forecast(accounts, entry, ahead))
}
