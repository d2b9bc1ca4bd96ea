//! What is kept of accounts, and whom their owner is still to be told of: counts by the minute, states, marks.
//!
//! The queue does not know what a budget is, nor what a state says: it adds, and gives back. Nothing here commits
//! (`apply` says how); the questions run on the same connection. Invariant: one row for an account and a minute.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::{
    AccountState, AccountUsage, KEEP_USAGE, LONGEST_ACCOUNT, LONGEST_STATE, NewMessage, SavedTime, Settlement,
};

use super::apply::{Context, Done, put, short_enough};
use super::fault::Failure;

/// Who is to be told. By this index, because the other one goes through all that have failed.
pub(super) const UNTOLD: &str = "SELECT seq FROM message INDEXED BY message_untold \
    WHERE untold = 1 AND state = 'failed' ORDER BY id LIMIT ?1";

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;

/// Adds to the minute of `usage`.
pub(super) fn add_usage(conn: &Connection, usage: &AccountUsage) -> Result<(), Failure> {
    short_enough("the name of an account", &usage.account, LONGEST_ACCOUNT)?;
    let sql = "INSERT INTO usage (account, minute, messages, recipients, logins) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT DO UPDATE SET messages = messages + ?3, recipients = recipients + ?4, logins = logins + ?5";
    let minute = usage.at.millis().div_euclid(MINUTE);
    conn.prepare_cached(sql)?.execute(params![
        usage.account,
        minute,
        usage.messages,
        usage.recipients,
        usage.logins
    ])?;
    Ok(())
}

/// The minutes of `account` from the one of `since` on, oldest first.
pub(super) fn usage(conn: &Connection, account: &str, since: Timestamp) -> rusqlite::Result<Vec<AccountUsage>> {
    let sql = "SELECT minute, messages, recipients, logins FROM usage WHERE account = ?1 AND minute >= ?2 \
               ORDER BY minute";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![account, since.millis().div_euclid(MINUTE)], |row| {
        // A minute that holds more than a u32 was damaged: as much as can be said is said.
        let count = |column| row.get::<_, i64>(column).map(|n| n.clamp(0, i64::from(u32::MAX)) as u32);
        let at = Timestamp::from_millis(row.get::<_, i64>(0)?.saturating_mul(MINUTE));
        let (messages, recipients, logins) = (count(1)?, count(2)?, count(3)?);
        Ok(AccountUsage { account: account.to_owned(), at, messages, recipients, logins })
    })?;
    rows.collect()
}

/// Writes what a settlement says of its account.
pub(super) fn settle(conn: &Connection, id: Id, settlement: &Settlement) -> Result<(), Failure> {
    let used = settlement.usage.as_ref().map_or(Ok(()), |usage| add_usage(conn, usage));
    let kept = settlement.account_state.as_ref().map_or(Ok(()), |state| save_account_state(conn, state));
    for written in [used, kept] {
        match written {
            Ok(()) => {}
            // What the provider has taken must not be sent again because a name is too long.
            Err(Failure::Refused(error)) => {
                tracing::error!(event = "queue_error", %id, %error, "what is kept of an account was not written")
            }
            Err(other @ (Failure::Poisoned(_) | Failure::Broken(_))) => return Err(other),
        }
    }
    Ok(())
}

/// Deletes the minutes that are older than [`KEEP_USAGE`].
pub(super) fn forget_usage(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let oldest = (now - KEEP_USAGE).millis().div_euclid(MINUTE);
    // From account to account, so that this is a look-up and not a scan of a month.
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

/// Keeps what an account is like.
pub(super) fn save_account_state(conn: &Connection, state: &AccountState) -> Result<(), Failure> {
    short_enough("the name of an account", &state.account, LONGEST_ACCOUNT)?;
    short_enough("the state of an account", &state.state, LONGEST_STATE)?;
    let sql = "INSERT INTO account (name, state) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET state = ?2";
    conn.prepare_cached(sql)?.execute([&state.account, &state.state])?;
    Ok(())
}

/// Keeps the time in place of the one that was kept before.
pub(super) fn save_time(conn: &Connection, saved: SavedTime) -> Result<(), Failure> {
    let sql =
        "INSERT INTO saved_time (one, seen, pause) VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET seen = ?1, pause = ?2";
    let pause = i64::try_from(saved.pause.as_millis()).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?.execute([saved.seen.millis(), pause])?;
    Ok(())
}

/// The time that is kept.
pub(super) fn saved_time(conn: &Connection) -> rusqlite::Result<Option<SavedTime>> {
    let read = |row: &rusqlite::Row<'_>| {
        let pause = Duration::from_millis(row.get::<_, i64>(1)?.max(0) as u64);
        Ok(SavedTime { seen: Timestamp::from_millis(row.get(0)?), pause })
    };
    conn.prepare_cached("SELECT seen, pause FROM saved_time")?.query_row([], read).optional()
}

/// What is kept of all accounts.
pub(super) fn account_states(conn: &Connection) -> rusqlite::Result<Vec<AccountState>> {
    let mut statement = conn.prepare_cached("SELECT name, state FROM account ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(AccountState { account: row.get(0)?, state: row.get(1)? }))?;
    rows.collect()
}

/// The rows of the first `limit` failed messages whose owner is still to be told.
pub(super) fn unreported(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(UNTOLD)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map([limit], |row| row.get(0))?.collect()
}

/// Puts the notice, if there is one, and takes the marks off.
pub(super) fn mark_reported(
    context: &Context<'_>,
    notice: Option<&NewMessage>,
    sum: u32,
    ids: &[Id],
) -> Result<Done, Failure> {
    let mut done = Done::default();
    notice.map_or(Ok(()), |notice| put(context, notice, sum, &mut done))?;
    mark(context.conn, ids, false)?;
    Ok(done)
}

/// Marks messages as untold, or takes the marks off.
pub(super) fn mark(conn: &Connection, ids: &[Id], untold: bool) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("UPDATE message SET untold = ?2 WHERE id = ?1")?;
    for id in ids {
        statement.execute(params![id.as_str(), untold])?;
    }
    Ok(())
}
