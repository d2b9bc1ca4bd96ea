//! The end of an attempt as one transaction (promise 3), and the tables that it shares with other changes: the usage and the
//! state of accounts, the saved time, the failures to report.
//!
//! `delivery` decides what a reply *means*; [`state_after`] which state follows. Invariants: a final outcome stays as it is, so
//! that nothing opens a delivered recipient again. `usage` has one row for an account and a minute.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::{
    AccountState, AccountUsage, KEEP_USAGE, LONGEST_ACCOUNT, LONGEST_STATE, MessageState, NextAttempt, QueueError,
    RecipientEntry, SavedTime, Settlement, state_after,
};

use super::change::{Context, Done, Found, short_enough};
use super::connection::Failure;
use super::history_index;
use super::rows::{self, Unreadable};

/// The failures to report. By this index, because the other one goes through all that have failed.
pub(super) const UNREPORTED: &str = "SELECT seq FROM message INDEXED BY message_untold \
    WHERE untold = 1 AND state = 'failed' ORDER BY id LIMIT ?1";

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;

/// Writes the result of the attempt whose lease is `token`.
pub(super) fn settle(
    context: &Context<'_>,
    id: Id,
    token: u64,
    settlement: &Settlement,
    notice_sum: u32,
    done: &mut Done,
) -> Result<(), Failure> {
    let leased = context.counters.holder(token).filter(|leased| leased.id == id).ok_or(QueueError::NotLeased(id))?;
    let seq = leased.seq;
    let found = Found::by_seq(context.conn, seq)?;
    let mut recipients = rows::recipients(context.conn, seq).map_err(|unreadable| match unreadable {
        Unreadable::Missing => Failure::from(QueueError::NotFound(id)),
        Unreadable::Damaged(what) => Failure::Poisoned(QueueError::Database(format!("message {id}: {what}"))),
        Unreadable::Failed(error) => Failure::from(error),
    })?;
    write_outcomes(context, id, seq, settlement, &mut recipients)?;
    let to = state_after(recipients.iter().map(|r| &r.outcome), settlement.next);
    let due = (!to.is_final()).then_some(settlement.next.due());
    // When the last recipient was decided; records are kept from then on.
    let decided = recipients.iter().filter_map(|r| r.outcome.decided()).map(Timestamp::millis).max();
    // Waiting is not failing: only a real attempt that did not succeed is counted.
    let spent = to != MessageState::Delivered && matches!(settlement.next, NextAttempt::Deferred(_));
    let sql = "UPDATE message SET state = ?2, due = ?3, finished = CASE WHEN ?4 THEN coalesce(?5, received) END, \
               tries = tries + ?6, uncertain = uncertain + ?7, account = coalesce(?8, account), \
               chunk = coalesce(?9, chunk), strict = max(strict, ?10), untold = max(untold, ?11), \
               unknown_since = coalesce(unknown_since, ?12) WHERE seq = ?1";
    let parameters = params![
        seq,
        to.name(),
        due.map(Timestamp::millis),
        to.is_final(),
        decided,
        spent,
        settlement.uncertain,
        settlement.account,
        settlement.chunk,
        settlement.strict,
        settlement.unreported,
        settlement.unknown_since.map(Timestamp::millis),
    ];
    context.execute(sql, parameters)?;
    write_account(context, id, settlement)?;
    (done.released, done.wake) = (Some(token), !to.is_final());
    if to == MessageState::Delivered {
        context.delete_content(seq, done)?;
    }
    if to.is_final() {
        history_index::note_finished(context.conn, seq)?;
    }
    found.becomes(Some(to), due, done);
    settlement.notice.as_ref().map_or(Ok(()), |notice| context.put(notice, notice_sum, done))
}

/// Writes the outcomes that the settlement names, into the rows and into `recipients`.
fn write_outcomes(
    context: &Context<'_>,
    id: Id,
    seq: i64,
    settlement: &Settlement,
    recipients: &mut [RecipientEntry],
) -> Result<(), Failure> {
    let sql = "UPDATE recipient SET outcome = ?3, at = ?4, text = ?5 WHERE seq = ?1 AND place = ?2";
    let mut statement = context.conn.prepare_cached(sql)?;
    for (place, outcome) in &settlement.outcomes {
        let Some(recipient) = recipients.get_mut(*place).filter(|r| r.outcome.is_open()) else {
            // Refusing would send the mail again to recipients that have it. So the rest is written.
            tracing::error!(event = "queue_error", %id, place, ?outcome, "an outcome was left out: no open recipient has this place");
            continue;
        };
        let (name, at, text) = rows::outcome_columns(outcome);
        statement.execute(params![seq, *place as i64, name, at, text])?;
        recipient.outcome = outcome.clone();
    }
    Ok(())
}

/// Writes the usage and the state of the account that a settlement has.
fn write_account(context: &Context<'_>, id: Id, settlement: &Settlement) -> Result<(), Failure> {
    let used = settlement.usage.as_ref().map_or(Ok(()), |usage| add_usage(context, usage));
    let saved = settlement.account_state.as_ref().map_or(Ok(()), |state| save_account_state(context, state));
    for written in [used, saved] {
        match written {
            // Accepted mail must not be sent again because a name is too long.
            Err(Failure::Refused(error)) => {
                tracing::error!(event = "queue_error", %id, %error, "what is kept of an account was not written");
            }
            other => other?,
        }
    }
    Ok(())
}

/// Adds to the minute of `usage`.
pub(super) fn add_usage(context: &Context<'_>, usage: &AccountUsage) -> Result<(), Failure> {
    let AccountUsage { account, at, messages, recipients, logins } = usage;
    short_enough("the name of an account", account, LONGEST_ACCOUNT)?;
    let sql = "INSERT INTO usage (account, minute, messages, recipients, logins) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT DO UPDATE SET messages = messages + ?3, recipients = recipients + ?4, logins = logins + ?5";
    context.execute(sql, params![account, at.millis().div_euclid(MINUTE), messages, recipients, logins])?;
    Ok(())
}

/// The minutes of `account` from the one of `since` on, oldest first.
pub(super) fn usage(conn: &Connection, account: &str, since: Timestamp) -> rusqlite::Result<Vec<AccountUsage>> {
    let sql = "SELECT minute, messages, recipients, logins FROM usage WHERE account = ?1 AND minute >= ?2 \
               ORDER BY minute";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![account, since.millis().div_euclid(MINUTE)], |row| {
        // A minute that holds more than a u32 is damaged: the nearest number is returned.
        let count = |column| row.get::<_, i64>(column).map(|n| n.clamp(0, i64::from(u32::MAX)) as u32);
        let at = Timestamp::from_millis(row.get::<_, i64>(0)?.saturating_mul(MINUTE));
        let (messages, recipients, logins) = (count(1)?, count(2)?, count(3)?);
        Ok(AccountUsage { account: account.to_owned(), at, messages, recipients, logins })
    })?;
    rows.collect()
}

/// Deletes the minutes that are older than [`KEEP_USAGE`].
pub(super) fn forget_usage(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let oldest = (now - KEEP_USAGE).millis().div_euclid(MINUTE);
    // From account to account, so that no query scans a month.
    let sql = "SELECT account FROM usage WHERE account > ?1 ORDER BY account LIMIT 1";
    let mut next = conn.prepare_cached(sql)?;
    let mut delete = conn.prepare_cached("DELETE FROM usage WHERE account = ?1 AND minute < ?2")?;
    let mut account = String::new();
    while let Some(found) = next.query_row([&account], |row| row.get::<_, String>(0)).optional()? {
        if found <= account {
            break;
        }
        delete.execute(params![found, oldest])?;
        account = found;
    }
    Ok(())
}

/// Saves the state of an account.
pub(super) fn save_account_state(context: &Context<'_>, state: &AccountState) -> Result<(), Failure> {
    short_enough("the name of an account", &state.account, LONGEST_ACCOUNT)?;
    short_enough("the state of an account", &state.state, LONGEST_STATE)?;
    let sql = "INSERT INTO account (name, state) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET state = ?2";
    context.execute(sql, [&state.account, &state.state])?;
    Ok(())
}

/// The saved states of all accounts.
pub(super) fn account_states(conn: &Connection) -> rusqlite::Result<Vec<AccountState>> {
    let mut statement = conn.prepare_cached("SELECT name, state FROM account ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(AccountState { account: row.get(0)?, state: row.get(1)? }))?;
    rows.collect()
}

/// Saves the time in place of the one that was saved before.
pub(super) fn save_time(context: &Context<'_>, saved: SavedTime) -> Result<(), Failure> {
    let sql =
        "INSERT INTO saved_time (one, seen, pause) VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET seen = ?1, pause = ?2";
    let pause = i64::try_from(saved.pause.as_millis()).unwrap_or(i64::MAX);
    context.execute(sql, [saved.seen.millis(), pause])?;
    Ok(())
}

/// The saved time.
pub(super) fn saved_time(conn: &Connection) -> rusqlite::Result<Option<SavedTime>> {
    let read = |row: &rusqlite::Row<'_>| {
        let pause = Duration::from_millis(row.get::<_, i64>(1)?.max(0) as u64);
        Ok(SavedTime { seen: Timestamp::from_millis(row.get(0)?), pause })
    };
    conn.prepare_cached("SELECT seen, pause FROM saved_time")?.query_row([], read).optional()
}

/// The rows of the first `limit` failures to report.
pub(super) fn unreported(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(UNREPORTED)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map([limit], |row| row.get(0))?.collect()
}

/// Marks failures as still to be reported, or removes the marks.
pub(super) fn mark(conn: &Connection, ids: &[Id], unreported: bool) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("UPDATE message SET untold = ?2 WHERE id = ?1")?;
    for id in ids {
        statement.execute(params![id.as_str(), unreported])?;
    }
    Ok(())
}
