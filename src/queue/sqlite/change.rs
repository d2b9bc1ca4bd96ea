//! The changes to the tables: what is checked, what is written, and what follows once it is committed.
//!
//! Nothing here commits. Each function runs inside a savepoint of the writer's transaction. What it returns as [`Done`] is
//! carried out after the commit only: a file is unlinked, a counter changed, a waiting task woken. Not here: the tables of
//! the accounts, and the end of an attempt (`settlement`).

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::clock::{EARLIEST, Timestamp};
use crate::mail::Id;
use crate::queue::client_lines::ClientLine;
use crate::queue::counters_and_leases::{CountersAndLeases, StateChange};
use crate::queue::{HoldReason, LONGEST_POOL, MessageState, NewMessage, QueueError, RetentionSettings, Spool};

use super::connection::Failure;
use super::write::Write;
use super::{command_log, held, history_index, rows, settlement};

/// The most records that one purge deletes.
const PURGE_STEP: usize = 256;

/// Failed messages whose content is old.
pub(super) const OLD_CONTENT: &str = "SELECT seq FROM message INDEXED BY message_content \
    WHERE state = 'failed' AND stripped = 0 AND finished < ?1 AND finished >= ?3 LIMIT ?2";

/// What follows from a change once it is committed.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The counters that change.
    pub(super) moves: Vec<StateChange>,
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
    /// Whether a block of the history is empty now.
    pub(super) emptied: bool,
    /// Whether purge has more to do.
    pub(super) more: bool,
    /// Due times were corrected: to this time, and those of deferred messages that were later than the second one.
    pub(super) corrected: Option<(Timestamp, Timestamp)>,
}

/// What a change may read.
pub(super) struct Context<'a> {
    pub(super) conn: &'a Connection,
    pub(super) counters: &'a CountersAndLeases,
    pub(super) spool: &'a Spool,
    pub(super) retention: RetentionSettings,
}

impl Context<'_> {
    /// Runs one statement, and returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
        self.conn.prepare_cached(sql)?.execute(parameters)
    }

    /// Makes one change inside the open transaction.
    pub(super) fn apply(&self, write: &Write) -> Result<Done, Failure> {
        let mut done = Done::default();
        match write {
            Write::Put(messages) => messages.iter().try_for_each(|(one, sum)| self.put(one, *sum, &mut done))?,
            Write::Settle { id, token, settlement, notice_sum } => {
                settlement::settle(self, *id, *token, settlement, *notice_sum, &mut done)?;
            }
            Write::Retry(id, now) => self.retry(*id, *now, &mut done)?,
            Write::HoldMessage(id, reason, text) => self.hold_message(*id, *reason, text, &mut done)?,
            Write::Release(id, now) => self.release(*id, *now, &mut done)?,
            Write::Drop(id) => self.drop_message(*id, &mut done)?,
            Write::CorrectTimes { now, latest } => self.correct_times(*now, *latest, &mut done)?,
            Write::Purge { now, usage } => self.purge(*now, *usage, &mut done)?,
            Write::Assign(changes) => self.assign(changes, &mut done)?,
            Write::AddUsage(usage) => settlement::add_usage(self, usage)?,
            Write::SaveTime(saved) => settlement::save_time(self, *saved)?,
            Write::RecordCommand(record) => command_log::record(self.conn, record)?,
            Write::SaveAccountState(state) => settlement::save_account_state(self, state)?,
            Write::Check(now) => {
                // A row that does not change is not written.
                let sql = "INSERT INTO write_check (one, at) VALUES (1, ?1) \
                           ON CONFLICT DO UPDATE SET at = CASE WHEN at = ?1 THEN ?1 + 1 ELSE ?1 END";
                self.execute(sql, [now.millis()])?;
            }
            Write::MarkReported { notice, notice_sum, ids } => {
                notice.as_deref().map_or(Ok(()), |notice| self.put(notice, *notice_sum, &mut done))?;
                settlement::mark(self.conn, ids, false)?;
            }
            Write::Hold { token, reason } => {
                if let Some(leased) = self.counters.holder(*token) {
                    hold(self.conn, leased.seq, reason, &mut done)?;
                    done.released = Some(*token);
                }
            }
            Write::Quarantine { seq, reason } => quarantine(self.conn, *seq, reason, &mut done)?,
        }
        Ok(done)
    }

    /// Stores a new message.
    pub(super) fn put(&self, message: &NewMessage, sum: u32, done: &mut Done) -> Result<(), Failure> {
        if message.recipients.is_empty() {
            return Err(QueueError::Database(format!("message {} has no recipient", message.id)).into());
        }
        short_enough("the name of a pool", &message.pool, LONGEST_POOL)?;
        let (seq, size) = rows::insert(self.conn, message, sum)?;
        let (pool, client) = (message.pool.as_str().into(), message.origin.key.clone());
        let line = ClientLine { pool, lane: message.lane, client };
        let to = Some(MessageState::Queued);
        done.moves.push(StateChange { from: None, to, size, line, due: Some(message.received) });
        done.stored.push(seq);
        done.wake = true;
        Ok(())
    }

    /// The row of a message that is not leased.
    fn find(&self, id: Id) -> Result<Found, Failure> {
        let found = Found::read(self.conn, "id = ?1", [id.as_str()]).optional()?.ok_or(QueueError::NotFound(id))?;
        if self.counters.is_leased(found.seq) { Err(QueueError::Busy(id).into()) } else { Ok(found) }
    }

    fn retry(&self, id: Id, now: Timestamp, done: &mut Done) -> Result<(), Failure> {
        let found = self.find(id)?;
        match found.known_state(id)? {
            state @ MessageState::Delivered => return Err(QueueError::WrongState(id, state).into()),
            MessageState::Held => match held::reason(self.conn, found.seq)? {
                Some(reason @ (HoldReason::Operator | HoldReason::Policy)) => {
                    return Err(QueueError::Held(id, reason).into());
                }
                Some(HoldReason::Damaged) | None => {}
            },
            MessageState::Queued | MessageState::Sending | MessageState::Waiting | MessageState::Deferred => {}
            MessageState::Failed if self.is_stripped(found.seq)? => return Err(QueueError::NoContent(id).into()),
            MessageState::Failed => done.emptied |= history_index::withdraw(self.conn, found.seq)?,
        }
        held::let_go(self.conn, found.seq, now)?;
        held::open_failed(self.conn, found.seq)?;
        done.wake = true;
        found.becomes(Some(MessageState::Queued), Some(now), done);
        Ok(())
    }

    fn hold_message(&self, id: Id, reason: HoldReason, text: &str, done: &mut Done) -> Result<(), Failure> {
        let found = self.find(id)?;
        let state = found.known_state(id)?;
        if state.is_final() {
            return Err(QueueError::WrongState(id, state).into());
        }
        held::hold(self.conn, found.seq, reason, text)?;
        found.becomes(Some(MessageState::Held), None, done);
        Ok(())
    }

    fn release(&self, id: Id, now: Timestamp, done: &mut Done) -> Result<(), Failure> {
        let found = self.find(id)?;
        let state = found.known_state(id)?;
        if state != MessageState::Held {
            return Err(QueueError::WrongState(id, state).into());
        }
        held::let_go(self.conn, found.seq, now)?;
        // It had failed before it was found damaged: without this there is nothing to send.
        if !held::has_open(self.conn, found.seq)? {
            held::open_failed(self.conn, found.seq)?;
        }
        done.wake = true;
        found.becomes(Some(MessageState::Queued), Some(now), done);
        Ok(())
    }

    /// Returns whether the content of a failed message was deleted.
    fn is_stripped(&self, seq: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT stripped <> 0 FROM message WHERE seq = ?1";
        self.conn.prepare_cached(sql)?.query_row([seq], |row| row.get(0))
    }

    fn drop_message(&self, id: Id, done: &mut Done) -> Result<(), Failure> {
        let found = self.find(id)?;
        self.delete(found.seq, done)?;
        if found.state.is_some() {
            found.becomes(None, None, done);
        } else {
            done.touched.push(found.seq);
        }
        Ok(())
    }

    /// Deletes a message with everything it has.
    fn delete(&self, seq: i64, done: &mut Done) -> rusqlite::Result<()> {
        self.delete_content(seq, done)?;
        done.emptied |= history_index::forget(self.conn, seq)?;
        let sql = "INSERT INTO deleted (one, seq) SELECT 1, ?1 WHERE NOT EXISTS (SELECT 1 FROM message WHERE seq > ?1) \
                   ON CONFLICT DO UPDATE SET seq = max(seq, ?1)";
        self.execute(sql, [seq])?;
        // The recipients go with it (ON DELETE CASCADE).
        self.execute("DELETE FROM message WHERE seq = ?1", [seq]).map(drop)
    }

    /// Deletes header block and body. The file is unlinked after the commit (promise 4).
    pub(super) fn delete_content(&self, seq: i64, done: &mut Done) -> rusqlite::Result<()> {
        let sql = "DELETE FROM content WHERE seq = ?1 RETURNING spool";
        let mut statement = self.conn.prepare_cached(sql)?;
        let name: Option<Option<String>> = statement.query_row([seq], |row| row.get(0)).optional()?;
        done.unlink.extend(name.flatten().and_then(|name| self.spool.path(&name)));
        done.freed = true;
        Ok(())
    }

    fn correct_times(&self, now: Timestamp, latest: Timestamp, done: &mut Done) -> rusqlite::Result<()> {
        // Only rows with a due time are in the index.
        let sql = "UPDATE message SET due = ?1 WHERE (state <> 'deferred' OR due > ?2) \
                   AND seq IN (SELECT seq FROM message INDEXED BY message_line WHERE due > ?1)";
        let mut changed = self.execute(sql, [now.millis(), latest.millis()])?;
        if now >= EARLIEST {
            // Ids sort by the time of arrival, so this is a part of their index.
            let sql = "UPDATE message SET received = ?1, expires = ?1 + max(expires - received, 0), \
                       due = CASE WHEN due IS NULL THEN NULL ELSE ?1 END, \
                       finished = CASE WHEN finished IS NULL THEN NULL ELSE max(finished, ?1) END \
                       WHERE id < ?2 AND received < ?3";
            let first = Id::new(EARLIEST, 0);
            history_index::widen(self.conn, now, &first)?;
            changed += self.execute(sql, params![now.millis(), first.as_str(), EARLIEST.millis()])?;
            command_log::correct_times(self.conn, now)?;
        }
        (done.wake, done.corrected) = (changed > 0, (changed > 0).then_some((now, latest)));
        Ok(())
    }

    /// Moves messages to other pools; those that are leased, final or gone stay as they are.
    fn assign(&self, changes: &[(Id, String)], done: &mut Done) -> Result<(), Failure> {
        for (id, pool) in changes {
            short_enough("the name of a pool", pool, LONGEST_POOL)?;
            let found = match self.find(*id) {
                Ok(found) => found,
                Err(Failure::Refused(QueueError::NotFound(_) | QueueError::Busy(_))) => continue,
                Err(failure) => return Err(failure),
            };
            let changes = |state: &MessageState| !state.is_final() && *found.line.pool != **pool;
            let Some(state) = found.state.filter(changes) else { continue };
            self.execute("UPDATE message SET pool = ?2 WHERE seq = ?1", params![found.seq, pool])?;
            let line = ClientLine { pool: pool.as_str().into(), ..found.line.clone() };
            done.moves.push(StateChange { from: None, to: Some(state), size: found.size, line, due: found.due });
            found.becomes(None, None, done);
            done.wake = true;
        }
        Ok(())
    }

    fn purge(&self, now: Timestamp, usage: bool, done: &mut Done) -> Result<(), Failure> {
        // What was dated while the clock was not set is not old: see [`Context::correct_times`].
        let earliest = if now >= EARLIEST { EARLIEST.millis() } else { i64::MIN };
        let RetentionSettings { keep_records, keep_failed, .. } = self.retention;
        let mut left = PURGE_STEP;
        // A failed message that can still be sent again is not deleted.
        let keep_failed_records = keep_records.max(keep_failed);
        for (state, keep) in [(MessageState::Delivered, keep_records), (MessageState::Failed, keep_failed_records)] {
            let old = "state = ?1 AND finished IS NOT NULL AND finished < ?2 AND finished >= ?4 LIMIT ?3";
            let parameters = params![state.name(), (now - keep).millis(), left as i64, earliest];
            for found in Found::read_all(self.conn, old, parameters)? {
                self.delete(found.seq, done)?;
                done.moves.push(found.change(None, None));
                left -= 1;
            }
        }
        let parameters = params![(now - keep_failed).millis(), left as i64, earliest];
        let mut old = self.conn.prepare_cached(OLD_CONTENT)?;
        let old: Vec<i64> = old.query_map(parameters, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for &seq in &old {
            self.delete_content(seq, done)?;
            self.execute("UPDATE message SET stripped = 1 WHERE seq = ?1", [seq])?;
        }
        done.more = left == old.len();
        if usage {
            settlement::forget_usage(self.conn, now)?;
            done.more |= command_log::forget(self.conn, now, PURGE_STEP)?;
        }
        Ok(())
    }
}

/// Refuses a text that is longer than the tables are made for.
pub(super) fn short_enough(what: &'static str, text: &str, limit: usize) -> Result<(), QueueError> {
    if text.len() > limit { Err(QueueError::TooLong { what, limit }) } else { Ok(()) }
}

/// What a change must know of a row.
#[derive(Debug)]
pub(super) struct Found {
    seq: i64,
    /// `None` for a row in quarantine.
    state: Option<MessageState>,
    size: u64,
    line: ClientLine,
    due: Option<Timestamp>,
}

impl Found {
    fn of(row: &Row<'_>) -> rusqlite::Result<Found> {
        Ok(Found {
            seq: row.get(0)?,
            state: MessageState::parse(&row.get::<_, String>(1)?),
            size: row.get::<_, i64>(2)?.max(0) as u64,
            line: rows::client_line(row, 3)?,
            due: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        })
    }

    fn read_all(conn: &Connection, which: &str, parameters: impl Params) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("SELECT seq, state, size, pool, lane, client_key, due FROM message WHERE {which}");
        conn.prepare_cached(&sql)?.query_map(parameters, Found::of)?.collect()
    }

    fn read(conn: &Connection, which: &str, parameters: impl Params) -> rusqlite::Result<Found> {
        Found::read_all(conn, which, parameters)?.pop().ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The row with this number.
    pub(super) fn by_seq(conn: &Connection, seq: i64) -> rusqlite::Result<Found> {
        Found::read(conn, "seq = ?1", [seq])
    }

    /// Its state; a row in quarantine has none.
    fn known_state(&self, id: Id) -> Result<MessageState, QueueError> {
        let aside = || QueueError::Database(format!("message {id} is set aside, its row cannot be read"));
        self.state.ok_or_else(aside)
    }

    fn change(self, to: Option<MessageState>, due: Option<Timestamp>) -> StateChange {
        StateChange { from: self.state, to, size: self.size, line: self.line, due }
    }

    /// Notes that the row changes its state.
    pub(super) fn becomes(self, to: Option<MessageState>, due: Option<Timestamp>, done: &mut Done) {
        done.touched.push(self.seq);
        done.moves.push(self.change(to, due));
    }
}

/// Holds a message whose content is damaged, with the reason where an operator sees it.
pub(super) fn hold(conn: &Connection, seq: i64, reason: &str, done: &mut Done) -> rusqlite::Result<()> {
    let found = Found::by_seq(conn, seq)?;
    done.emptied |= history_index::withdraw(conn, seq)?;
    held::hold(conn, seq, HoldReason::Damaged, reason)?;
    held::note_damage(conn, seq, reason)?;
    found.becomes(Some(MessageState::Held), None, done);
    Ok(())
}

/// Moves a row that cannot be read out of the way: nothing shows it or sends it, and only `drop` deletes it. When only its
/// content cannot be read, it is held like any other damaged message.
fn quarantine(conn: &Connection, seq: i64, reason: &str, done: &mut Done) -> Result<(), Failure> {
    if rows::entry(conn, seq).is_ok() {
        return Ok(hold(conn, seq, reason, done)?);
    }
    done.emptied |= history_index::withdraw(conn, seq)?;
    let sql = "SELECT CAST(state AS TEXT), CAST(size AS INTEGER), pool, lane, client_key FROM message WHERE seq = ?1";
    let before = conn.prepare_cached(sql)?.query_row([seq], |row| {
        let state = row.get::<_, Option<String>>(0)?.as_deref().and_then(MessageState::parse);
        Ok((state, row.get::<_, Option<i64>>(1)?.unwrap_or(0).max(0) as u64, rows::client_line(row, 2)?))
    });
    held::set_aside(conn, seq, reason)?;
    done.touched.push(seq);
    if let Ok((Some(from), size, line)) = before {
        done.moves.push(StateChange { from: Some(from), to: None, size, line, due: None });
    }
    Ok(())
}
