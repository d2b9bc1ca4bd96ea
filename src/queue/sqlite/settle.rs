//! The end of a try, as one transaction: outcomes, state, next try, the account's use and state, and the failure notice
//! (promise 3).
//!
//! What a reply *means* is decided before (`delivery`), which state follows is `entry::state_after`. Invariant: an
//! outcome that is final stays as it is, so that nothing turns a delivered recipient into an open one again.

use rusqlite::params;

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::{MessageState, NextAttempt, QueueError, RecipientEntry, Settlement, state_after};

use super::accounts;
use super::apply::{Context, Done, delete_content, put};
use super::fault::Failure;
use super::ledger::{Leased, Move};
use super::rows::{self, Unreadable};

/// Writes how the try that `token` stands for ended.
pub(super) fn settle(
    context: &Context<'_>,
    id: Id,
    token: u64,
    settlement: &Settlement,
    notice_sum: u32,
) -> Result<Done, Failure> {
    let leased = context.ledger.holder(token).filter(|leased| leased.id == id).ok_or(QueueError::NotLeased(id))?;
    let seq = leased.seq;
    let sql = "SELECT state, size, received FROM message WHERE seq = ?1";
    let (from, size, received): (String, i64, i64) =
        context.conn.prepare_cached(sql)?.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut recipients = rows::recipients(context.conn, seq).map_err(|unreadable| match unreadable {
        Unreadable::Missing => Failure::from(QueueError::NotFound(id)),
        Unreadable::Damaged(what) => Failure::Poisoned(QueueError::Database(format!("message {id}: {what}"))),
        Unreadable::Failed(error) => Failure::from(error),
    })?;
    write_outcomes(context, id, seq, settlement, &mut recipients)?;
    let to = state_after(recipients.iter().map(|r| &r.outcome), settlement.next);
    let due = (!to.is_final()).then_some(settlement.next.due().millis());
    // When the last recipient was decided; records are kept from then on.
    let decided = recipients.iter().filter_map(|r| r.outcome.decided()).map(Timestamp::millis);
    let finished = to.is_final().then(|| decided.max().unwrap_or(received));
    // Waiting is not failing: only a real try that did not succeed is counted.
    let spent = to != MessageState::Delivered && matches!(settlement.next, NextAttempt::Deferred(_));
    let sql = "UPDATE message SET state = ?2, due = ?3, finished = ?4, tries = tries + ?5, \
               uncertain = uncertain + ?6, account = coalesce(?7, account), chunk = coalesce(?8, chunk), \
               strict = max(strict, ?9), untold = max(untold, ?10), \
               unknown_since = coalesce(unknown_since, ?11) WHERE seq = ?1";
    context.conn.prepare_cached(sql)?.execute(params![
        seq,
        to.name(),
        due,
        finished,
        spent,
        settlement.uncertain,
        settlement.account,
        settlement.chunk,
        settlement.strict,
        settlement.unreported,
        settlement.unknown_since.map(Timestamp::millis),
    ])?;
    accounts::settle(context.conn, id, settlement)?;
    let mut done = Done { released: Some(token), touched: vec![seq], wake: !to.is_final(), ..Done::default() };
    if to == MessageState::Delivered {
        done.unlink.extend(delete_content(context.conn, context.spool, seq)?);
        done.freed = true;
    }
    let Leased { pool, lane, key, .. } = leased;
    let due = due.map(Timestamp::from_millis);
    done.moves.push(Move {
        from: MessageState::parse(&from),
        to: Some(to),
        size: size.max(0) as u64,
        pool,
        lane,
        key,
        due,
    });
    if let Some(notice) = &settlement.notice {
        put(context, notice, notice_sum, &mut done)?;
    }
    Ok(done)
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
            // Refusing would send the mail again to those who have it; so the rest is written and this is said aloud.
            tracing::error!(event = "queue_error", %id, place, ?outcome, "an outcome was left out: no open recipient has this place");
            continue;
        };
        let (name, at, text) = rows::outcome_columns(outcome);
        statement.execute(params![seq, *place as i64, name, at, text])?;
        recipient.outcome = outcome.clone();
    }
    Ok(())
}
