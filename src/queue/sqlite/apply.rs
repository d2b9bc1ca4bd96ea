//! The changes to the tables, settling and accounts apart: what is checked, what is written, and what follows from it once committed.
//!
//! Nothing here commits. Each function runs inside a savepoint of the writer's transaction; what it returns as
//! [`Done`] is carried out after the commit only: a file is unlinked, a count changed, a sleeper woken.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::{EARLIEST, Timestamp};
use crate::mail::{ClientKey, Id, Lane};
use crate::queue::{
    AccountState, AccountUsage, LONGEST_POOL, MessageState, NewMessage, QueueError, RetentionSettings, SavedTime,
    Settlement, Spool,
};

use super::fault::Failure;
use super::ledger::{Ledger, Move};
use super::{accounts, rows, settle};

/// How many records one call of purge deletes at most.
const PURGE_STEP: usize = 256;

/// A change that was asked for.
#[derive(Debug)]
pub(super) enum Write {
    /// New messages, each with its checksum: all of them or none.
    Put(Vec<(NewMessage, u32)>),
    /// The end of a try; the number is the checksum of the notice, if there is one.
    Settle {
        id: Id,
        token: u64,
        settlement: Box<Settlement>,
        notice_sum: u32,
    },
    Retry(Id, Timestamp),
    Drop(Id),
    /// What is due too late is due at `now`.
    MendTimes {
        now: Timestamp,
        latest: Timestamp,
    },
    /// Old records go; `usage`: old counts as well.
    Purge {
        now: Timestamp,
        usage: bool,
    },
    /// New pools.
    Assign(Vec<(Id, String)>),
    Spend(AccountUsage),
    Remember(AccountState),
    SaveTime(SavedTime),
    /// The owner is told of these; the number is the checksum of the notice, if there is one.
    Tell {
        notice: Option<Box<NewMessage>>,
        sum: u32,
        ids: Vec<Id>,
    },
    /// The content of a leased message is damaged.
    SetAside {
        token: u64,
        reason: String,
    },
    /// The row of a message cannot be read.
    Banish {
        seq: i64,
        reason: String,
    },
}

impl Write {
    /// What time it is, if the change says so.
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self {
            Write::Put(messages) => messages.last().map(|(message, _)| message.received),
            Write::Retry(_, now) | Write::MendTimes { now, .. } | Write::Purge { now, .. } => Some(*now),
            Write::Settle { .. }
            | Write::Drop(_)
            | Write::Assign(_)
            | Write::Spend(_)
            | Write::Remember(_)
            | Write::SaveTime(_)
            | Write::Tell { .. }
            | Write::SetAside { .. }
            | Write::Banish { .. } => None,
        }
    }
}

impl Write {
    /// Whether it stores mail that can be refused: its sender tries again.
    pub(super) fn is_new_mail(&self) -> bool {
        matches!(self, Write::Put(..))
    }

    /// To how many recipients the provider was offered the message whose lease this ends.
    pub(super) fn offered(&self) -> u32 {
        match self {
            Write::Settle { settlement, .. } => settlement.usage.as_ref().map_or(0, |usage| usage.recipients),
            Write::Put(..)
            | Write::Retry(..)
            | Write::Drop(_)
            | Write::MendTimes { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::Spend(_)
            | Write::Remember(_)
            | Write::SaveTime(_)
            | Write::Tell { .. }
            | Write::SetAside { .. }
            | Write::Banish { .. } => 0,
        }
    }

    /// Leaves out what the change can do without, because a page was damaged; false when there is nothing of the kind.
    /// What the provider has taken must not be sent again, nor old records be kept, because a count is damaged.
    pub(super) fn forgo(&mut self) -> bool {
        match self {
            Write::Settle { settlement, .. } => {
                let used = settlement.usage.take().is_some();
                settlement.account_state.take().is_some() || used
            }
            Write::Purge { usage, .. } => std::mem::replace(usage, false),
            Write::Put(..)
            | Write::Retry(..)
            | Write::Drop(_)
            | Write::MendTimes { .. }
            | Write::Assign(_)
            | Write::Spend(_)
            | Write::Remember(_)
            | Write::SaveTime(_)
            | Write::Tell { .. }
            | Write::SetAside { .. }
            | Write::Banish { .. } => false,
        }
    }
}

/// What follows from a change once it is committed.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The counts that change.
    pub(super) moves: Vec<Move>,
    /// Files that no row names any more.
    pub(super) unlink: Vec<PathBuf>,
    /// The rows of the messages that were put, in the order of the change.
    pub(super) stored: Vec<i64>,
    /// Rows that are no longer what they were when they were put.
    pub(super) touched: Vec<i64>,
    /// A lease that has ended.
    pub(super) released: Option<u64>,
    /// Whether a message may have become due.
    pub(super) wake: bool,
    /// Whether content was deleted, so that pages are free.
    pub(super) freed: bool,
    /// Whether purge has more to do.
    pub(super) more: bool,
    /// Due times were brought back: to this time, and those of deferred messages that were later than the second one.
    pub(super) mended: Option<(Timestamp, Timestamp)>,
}

/// What a change may look at.
pub(super) struct Context<'a> {
    pub(super) conn: &'a Connection,
    pub(super) ledger: &'a Ledger,
    pub(super) spool: &'a Spool,
    pub(super) settings: &'a RetentionSettings,
}

/// Does one change inside the open transaction.
pub(super) fn apply(context: &Context<'_>, write: &Write) -> Result<Done, Failure> {
    match write {
        Write::Put(messages) => {
            let mut done = Done::default();
            messages.iter().try_for_each(|(message, sum)| put(context, message, *sum, &mut done))?;
            Ok(done)
        }
        Write::Settle { id, token, settlement, notice_sum } => {
            settle::settle(context, *id, *token, settlement, *notice_sum)
        }
        Write::Retry(id, now) => retry(context, *id, *now),
        Write::Drop(id) => drop_message(context, *id),
        Write::MendTimes { now, latest } => correct_times(context, *now, *latest),
        Write::Purge { now, usage } => purge(context, *now, *usage),
        Write::Assign(changes) => assign(context, changes),
        Write::Spend(usage) => accounts::add_usage(context.conn, usage).map(|()| Done::default()),
        Write::SaveTime(saved) => accounts::save_time(context.conn, *saved).map(|()| Done::default()),
        Write::Remember(state) => accounts::save_account_state(context.conn, state).map(|()| Done::default()),
        Write::Tell { notice, sum, ids } => accounts::mark_reported(context, notice.as_deref(), *sum, ids),
        Write::SetAside { token, reason } => {
            let leased = context.ledger.holder(*token);
            let Some(leased) = leased else { return Ok(Done::default()) };
            Ok(Done { released: Some(*token), ..hold(context.conn, leased.seq, reason)? })
        }
        Write::Banish { seq, reason } => banish(context.conn, *seq, reason),
    }
}

/// Stores a new message, and adds to `done` what follows from that.
pub(super) fn put(context: &Context<'_>, message: &NewMessage, sum: u32, done: &mut Done) -> Result<(), Failure> {
    if message.recipients.is_empty() {
        return Err(QueueError::Database(format!("message {} has no recipient", message.id)).into());
    }
    short_enough("the name of a pool", &message.pool, LONGEST_POOL)?;
    let (seq, size) = rows::insert(context.conn, message, sum)?;
    let (pool, lane) = (message.pool.as_str().into(), message.lane);
    let (key, due) = (message.origin.key.clone(), Some(message.received));
    done.moves.push(Move { from: None, to: Some(MessageState::Queued), size, pool, lane, key, due });
    done.stored.push(seq);
    done.wake = true;
    Ok(())
}

/// Refuses a text that is longer than the tables are made for.
pub(super) fn short_enough(what: &'static str, text: &str, limit: usize) -> Result<(), QueueError> {
    if text.len() > limit { Err(QueueError::TooLong { what, limit }) } else { Ok(()) }
}

/// What a change must know of a row. `state` is `None` for a row that is set aside.
struct Found {
    seq: i64,
    state: Option<MessageState>,
    size: u64,
    pool: Arc<str>,
    lane: Lane,
    key: ClientKey,
    due: Option<Timestamp>,
}

impl Found {
    /// The change of this row from one state to another.
    fn goes(&self, from: MessageState, to: Option<MessageState>, due: Option<Timestamp>) -> Move {
        let (pool, lane, key) = (self.pool.clone(), self.lane, self.key.clone());
        Move { from: Some(from), to, size: self.size, pool, lane, key, due }
    }
}

/// The name of a pool as the counts have it. Octets that are not text are damage, and must not stop a change.
pub(super) fn pool_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes().unwrap_or_default()).into())
}

/// The lane as the counts have it. One that is damaged counts as normal.
pub(super) fn lane_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Lane> {
    Ok(row.get_ref(column)?.as_str().ok().and_then(Lane::parse).unwrap_or_default())
}

/// The client as the counts have it. Octets that are not text are damage, and must not stop a change.
pub(super) fn key_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<ClientKey> {
    Ok(ClientKey::stored(&String::from_utf8_lossy(row.get_ref(column)?.as_bytes().unwrap_or_default())))
}

fn find(context: &Context<'_>, id: Id) -> Result<Found, Failure> {
    let sql = "SELECT seq, state, size, pool, lane, client_key, due FROM message WHERE id = ?1";
    let found = context.conn.prepare_cached(sql)?.query_row([id.as_str()], |row| {
        let (state, size) = (MessageState::parse(&row.get::<_, String>(1)?), row.get::<_, i64>(2)?.max(0) as u64);
        let due = row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis);
        Ok(Found {
            seq: row.get(0)?,
            state,
            size,
            pool: pool_of(row, 3)?,
            lane: lane_of(row, 4)?,
            key: key_of(row, 5)?,
            due,
        })
    });
    let found = found.optional()?.ok_or(QueueError::NotFound(id))?;
    if context.ledger.is_leased(found.seq) { Err(QueueError::Busy(id).into()) } else { Ok(found) }
}

fn retry(context: &Context<'_>, id: Id, now: Timestamp) -> Result<Done, Failure> {
    let found = find(context, id)?;
    let from = match found.state {
        Some(MessageState::Delivered) => return Err(QueueError::WrongState(id, MessageState::Delivered).into()),
        None => return Err(QueueError::Database(format!("message {id} is set aside, its row cannot be read")).into()),
        Some(state) => state,
    };
    let sql = "UPDATE message SET state = 'queued', due = ?2, finished = NULL, trouble = NULL, \
               untold = 0, unknown_since = NULL, expires = CASE WHEN expires <= ?2 THEN ?2 + (expires - received) ELSE expires END WHERE seq = ?1";
    context.conn.prepare_cached(sql)?.execute(params![found.seq, now.millis()])?;
    let sql = "UPDATE recipient SET outcome = 'open', at = NULL WHERE seq = ?1 AND outcome = 'failed'";
    context.conn.prepare_cached(sql)?.execute([found.seq])?;
    let moves = vec![found.goes(from, Some(MessageState::Queued), Some(now))];
    Ok(Done { moves, touched: vec![found.seq], wake: true, ..Done::default() })
}

fn drop_message(context: &Context<'_>, id: Id) -> Result<Done, Failure> {
    let found = find(context, id)?;
    let unlink = delete_content(context.conn, context.spool, found.seq)?.into_iter().collect();
    delete_row(context.conn, found.seq)?;
    let moves = found.state.map(|from| found.goes(from, None, None));
    Ok(Done { moves: moves.into_iter().collect(), unlink, touched: vec![found.seq], freed: true, ..Done::default() })
}

fn delete_row(conn: &Connection, seq: i64) -> rusqlite::Result<()> {
    // The recipients go with it (ON DELETE CASCADE).
    conn.prepare_cached("DELETE FROM message WHERE seq = ?1")?.execute([seq]).map(drop)
}

/// Deletes header block and body, and gives the file to unlink after the commit (promise 4).
pub(super) fn delete_content(conn: &Connection, spool: &Spool, seq: i64) -> rusqlite::Result<Option<PathBuf>> {
    let sql = "DELETE FROM content WHERE seq = ?1 RETURNING spool";
    let name: Option<Option<String>> = conn.prepare_cached(sql)?.query_row([seq], |row| row.get(0)).optional()?;
    Ok(name.flatten().and_then(|name| spool.path(&name)))
}

fn correct_times(context: &Context<'_>, now: Timestamp, latest: Timestamp) -> Result<Done, Failure> {
    // Only what is in a state with a due time is in the index.
    let sql = "UPDATE message SET due = ?1 WHERE (state <> 'deferred' OR due > ?2) \
               AND seq IN (SELECT seq FROM message INDEXED BY message_line WHERE due > ?1)";
    let mut changed = context.conn.prepare_cached(sql)?.execute([now.millis(), latest.millis()])?;
    if now >= EARLIEST {
        // Ids sort by the time of arrival, so this is a part of their index.
        let sql = "UPDATE message SET received = ?1, expires = ?1 + max(expires - received, 0), \
                   due = CASE WHEN due IS NULL THEN NULL ELSE ?1 END, \
                   finished = CASE WHEN finished IS NULL THEN NULL ELSE max(finished, ?1) END \
                   WHERE id < ?2 AND received < ?3";
        let first = Id::new(EARLIEST, 0);
        changed +=
            context.conn.prepare_cached(sql)?.execute(params![now.millis(), first.as_str(), EARLIEST.millis()])?;
    }
    Ok(Done { wake: changed > 0, mended: (changed > 0).then_some((now, latest)), ..Done::default() })
}

/// Gives messages new pools; those that are leased, final or gone stay as they are.
fn assign(context: &Context<'_>, changes: &[(Id, String)]) -> Result<Done, Failure> {
    let mut done = Done::default();
    let sql = "UPDATE message SET pool = ?2 WHERE seq = ?1";
    let mut statement = context.conn.prepare_cached(sql)?;
    for (id, pool) in changes {
        short_enough("the name of a pool", pool, LONGEST_POOL)?;
        let found = match find(context, *id) {
            Ok(found) => found,
            Err(Failure::Refused(QueueError::NotFound(_) | QueueError::Busy(_))) => continue,
            Err(failure) => return Err(failure),
        };
        let Some(state) = found.state.filter(|state| !state.is_final() && *found.pool != **pool) else { continue };
        statement.execute(params![found.seq, pool])?;
        let left = found.goes(state, None, None);
        done.moves.push(Move {
            from: None,
            to: Some(state),
            pool: pool.as_str().into(),
            due: found.due,
            ..left.clone()
        });
        done.moves.push(left);
        done.touched.push(found.seq);
    }
    done.wake = !done.touched.is_empty();
    Ok(done)
}

fn purge(context: &Context<'_>, now: Timestamp, usage: bool) -> Result<Done, Failure> {
    let mut done = Done::default();
    // What an unset clock has dated is not old: see [`mend_times`].
    let earliest = if now >= EARLIEST { EARLIEST.millis() } else { i64::MIN };
    for (state, keep) in [
        (MessageState::Delivered, context.settings.keep_delivered),
        (MessageState::Failed, context.settings.keep_failed),
    ] {
        let sql = "SELECT seq, size, pool, lane, client_key FROM message \
                   WHERE state = ?1 AND finished IS NOT NULL AND finished < ?2 AND finished >= ?4 LIMIT ?3";
        let left = (PURGE_STEP - done.moves.len()) as i64;
        let old: Vec<(i64, i64, Arc<str>, Lane, ClientKey)> = context
            .conn
            .prepare_cached(sql)?
            .query_map(params![state.name(), (now - keep).millis(), left, earliest], |row| {
                Ok((row.get(0)?, row.get(1)?, pool_of(row, 2)?, lane_of(row, 3)?, key_of(row, 4)?))
            })?
            .collect::<Result<_, _>>()?;
        for (seq, size, pool, lane, key) in old {
            done.unlink.extend(delete_content(context.conn, context.spool, seq)?);
            delete_row(context.conn, seq)?;
            let size = size.max(0) as u64;
            done.moves.push(Move { from: Some(state), to: None, size, pool, lane, key, due: None });
        }
    }
    done.more = done.moves.len() == PURGE_STEP;
    done.freed = !done.moves.is_empty();
    if usage {
        accounts::forget_usage(context.conn, now)?;
    }
    Ok(done)
}

/// Sets a message aside whose content is damaged: held, with the reason where a person sees it, and never sent.
pub(super) fn hold(conn: &Connection, seq: i64, reason: &str) -> rusqlite::Result<Done> {
    let sql = "SELECT state, size, pool, lane, client_key FROM message WHERE seq = ?1";
    let (from, size, pool, lane, key): (String, i64, Arc<str>, Lane, ClientKey) = conn
        .prepare_cached(sql)?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, pool_of(row, 2)?, lane_of(row, 3)?, key_of(row, 4)?)))?;
    let sql = "UPDATE message SET state = 'held', due = NULL, finished = NULL, trouble = ?2 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, reason])?;
    let sql = "UPDATE recipient SET text = ?2 WHERE seq = ?1 AND outcome = 'open'";
    conn.prepare_cached(sql)?.execute(params![seq, format!("set aside: {reason}")])?;
    let size = size.max(0) as u64;
    let change =
        Move { from: MessageState::parse(&from), to: Some(MessageState::Held), size, pool, lane, key, due: None };
    Ok(Done { moves: vec![change], touched: vec![seq], ..Done::default() })
}

/// Takes a row out of the way that cannot be read: nothing shows it or sends it, and nothing but `drop` deletes it.
/// When only its content cannot be read, it is held like any other damaged message.
fn banish(conn: &Connection, seq: i64, reason: &str) -> Result<Done, Failure> {
    if rows::entry(conn, seq).is_ok() {
        return Ok(hold(conn, seq, reason)?);
    }
    let sql = "SELECT CAST(state AS TEXT), CAST(size AS INTEGER), pool, lane, client_key FROM message WHERE seq = ?1";
    let before = conn.prepare_cached(sql)?.query_row([seq], |row| {
        let (pool, lane, key) = (pool_of(row, 2)?, lane_of(row, 3)?, key_of(row, 4)?);
        Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?, pool, lane, key))
    });
    let sql = "UPDATE message SET state = 'aside', due = NULL, finished = NULL, trouble = ?2 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, reason])?;
    let nothing = |_| (None, None, "".into(), Lane::default(), ClientKey::stored(""));
    let (state, size, pool, lane, key) = before.unwrap_or_else(nothing);
    let from = state.as_deref().and_then(MessageState::parse);
    let size = size.unwrap_or(0).max(0) as u64;
    let moves = from.map(|from| Move { from: Some(from), to: None, size, pool, lane, key, due: None });
    Ok(Done { moves: moves.into_iter().collect(), touched: vec![seq], ..Done::default() })
}
