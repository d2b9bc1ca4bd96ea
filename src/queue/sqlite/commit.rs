//! Commits one group of changes after another, and says what follows when the disk refuses one.
//!
//! On a disk that refuses writes, how a try ended comes first and alone: it is kept in memory until it is written, and
//! nothing new is stored or leased before. So a crash there sends again what was under way, and no more. On a full disk
//! whatever is not new mail may use the reserve.
//!
//! Not here: the transaction (`group`), and what follows from a change that is committed (`writer`).

use rusqlite::Connection;

use super::apply::Write;
use super::fault::Fault;
use super::group::{Committed, Ended};
use super::revoke::Revoked;
use super::writer::{Job, Writer};

impl Writer {
    /// Commits one change of the writer's own.
    pub(super) fn commit_alone(&mut self, write: Write) {
        self.commit(vec![Job::own(write)]);
    }

    /// Commits a group, behind the settlements that are still to be written, and answers everybody.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) {
        jobs.iter().filter_map(|job| job.write.time()).for_each(|now| self.now = now);
        self.leave_if_astray();
        if !self.unsettled.is_empty() {
            let kept = std::mem::take(&mut self.unsettled);
            let count = kept.len();
            if let Some(fault) = self.commit_group(kept) {
                return self.fail(jobs, &fault);
            }
            tracing::warn!(event = "outcomes_written", count, "how these tries ended is written now; sending goes on");
            self.due.notify_one();
        }
        if let Some(fault) = self.commit_group(jobs)
            && !self.unsettled.is_empty()
        {
            tracing::error!(event = "outcomes_kept", count = self.unsettled.len(), error = %fault.error(),
                "how these tries ended could not be written; it is kept in memory, and nothing else is sent until it is");
        }
    }

    /// Commits a group and answers everybody. Returns why it could not be written; its settlements are kept then.
    fn commit_group(&mut self, mut group: Vec<Job>) -> Option<Fault> {
        let mut ways = 0;
        self.reserve.renew();
        if self.reserve.is_spent() {
            // What is free is for what is queued.
            let (new, rest): (Vec<Job>, Vec<Job>) = group.into_iter().partition(|job| job.write.is_new_mail());
            self.fail(new, &Fault::Full(self.folder.display().to_string()));
            group = rest;
        }
        loop {
            if let Err(fault) = self.ready() {
                self.fail(group, &fault);
                return Some(fault);
            }
            let (fault, results) = match self.sound_transaction(&mut group) {
                Ok(results) => {
                    for (job, result) in group.into_iter().zip(results) {
                        self.finish(job, result);
                    }
                    return None;
                }
                Err(failed) => failed,
            };
            // A write that found no space was refused before any sync, and was rolled back: the connection is as
            // sound as before, and with it what is queued can still be read and sent. After any other error the
            // connection goes first: nothing may be written to it any more.
            let sound = self.conn.as_ref().is_some_and(Connection::is_autocommit) && results.is_empty();
            let full = matches!(fault, Fault::Full(_)) && sound;
            if !full {
                self.abandon();
            }
            for (job, result) in group.iter_mut().zip(results) {
                if result.is_ok_and(|done| !done.stored.is_empty()) {
                    self.revoked.extend(Revoked::of(&mut job.write));
                }
            }
            let (new, rest): (Vec<Job>, Vec<Job>) = group.into_iter().partition(|job| job.write.is_new_mail());
            let alone = !new.is_empty();
            self.fail(new, &fault);
            if !full || rest.is_empty() || !(alone || self.make_way(&mut ways)) {
                self.fail(rest, &fault);
                return Some(fault);
            }
            group = rest;
        }
    }

    /// Makes room on a full disk for what is not new mail, a step further each time. False when nothing is left to do.
    fn make_way(&mut self, ways: &mut u32) -> bool {
        *ways += 1;
        match ways {
            // Once all of the log is copied back, the next transaction overwrites it from its beginning.
            1 | 3 => {
                let copied = |conn: &Connection| conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                let _ = self.conn.as_ref().map(copied);
                true
            }
            2 => self.reserve.give_up(),
            _ => false,
        }
    }

    /// Runs the group as a transaction. A change that meets a damaged page is answered, and the others begin anew.
    fn sound_transaction(&mut self, group: &mut Vec<Job>) -> Committed {
        loop {
            let (place, error) = match self.transaction(group) {
                Ended::Committed(results) => return Ok(results),
                Ended::Failed(fault, results) => return Err((fault, results)),
                Ended::Astray => {
                    self.refuse_new(group);
                    continue;
                }
                Ended::Poisoned(place, error) => (place, error),
            };
            tracing::error!(event = "queue_error", %error, "a change met a damaged page of the queue's database");
            if group[place].write.forgo() {
                continue;
            }
            let job = group.remove(place);
            if let Write::Settle { token, .. } = &job.write {
                // Its outcome cannot be written, so it would be sent again, and again.
                self.skip.extend(self.ledger.holder(*token).map(|leased| leased.seq));
            }
            self.finish(job, Err(error));
        }
    }

    /// Answers everybody in a group that it failed. Settlements are kept: the provider has already answered, and writing
    /// that down late is better than sending the mail twice.
    fn fail(&mut self, group: Vec<Job>, fault: &Fault) {
        if group.is_empty() {
            return;
        }
        tracing::error!(event = "queue_error", changes = group.len(), error = %fault.error(), "a group of changes could not be written");
        for mut job in group {
            if let Write::Settle { .. } = job.write {
                job.keep(fault.error());
                self.unsettled.push(job);
            } else {
                job.refuse(fault.error());
            }
        }
    }
}
