//! The files of the open database were moved or deleted, or cannot be seen any more.
//!
//! What is written into them would be gone with them, so nothing new is taken (promise 1). What is queued can still be
//! read through the open files, so it is sent and settled there, whatever became of their names. When the files are back
//! everything goes on; when nothing is left to be sent, a new database is begun. Not here: a disk that fails (`fault`).
//! Invariant: the connection is not given up while it is the only way to mail that is queued.

use crate::queue::QueueError;

use super::apply::Write;
use super::writer::{Job, Writer, database, identity};

impl Writer {
    /// Whether the names in the folder are those of other files than the open ones, or of none.
    pub(super) fn is_astray(&self) -> bool {
        self.conn.is_some() && self.identity != identity(&self.folder)
    }

    /// Before a group: a database that is out of place and has nothing left to send is given up for a new one.
    pub(super) fn leave_if_astray(&mut self) {
        let astray = self.is_astray();
        let path = database(&self.folder);
        if astray && !std::mem::replace(&mut self.astray, astray) {
            let left: u64 = self.ledger.pools().iter().map(|(_, count)| count).sum();
            tracing::error!(event = "queue_astray", path = %path.display(), left,
                "the queue's files were moved or deleted, or cannot be read; nothing new is taken before they are back, or what is left has been sent");
        } else if !astray && std::mem::take(&mut self.astray) {
            tracing::warn!(event = "queue_found", path = %path.display(), "the queue's files are in their place again");
        }
        if astray && self.ledger.pools().is_empty() && self.unsettled.is_empty() {
            self.abandon();
        }
    }

    /// Refuses what would be lost with the files; the rest of the group stays.
    pub(super) fn refuse_new(&mut self, group: &mut Vec<Job>) {
        let text = format!("{} was moved or deleted while it was in use", database(&self.folder).display());
        let (new, rest) = std::mem::take(group).into_iter().partition(|job| matches!(job.write, Write::Put(..)));
        *group = rest;
        let new: Vec<Job> = new;
        for job in new {
            self.finish(job, Err(QueueError::Database(text.clone())));
        }
    }
}
