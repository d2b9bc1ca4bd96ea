//! What was answered with an error, although its commit may have got through: it must not be there (promise 1).
//!
//! After a failed sync nobody knows what was written. So the messages of such a group are noted here, and deleted once
//! the database has been opened again. Invariant: the row goes first, then its file (promise 4).

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::mail::Id;
use crate::queue::NewMessage;

use super::accounts;
use super::apply::Write;

/// A message that must not be there.
#[derive(Debug)]
pub(super) struct Revoked {
    id: Id,
    /// Its file, to be unlinked once the row is gone.
    pub(super) file: Option<PathBuf>,
    /// Failed messages whose owner was not told by it after all.
    untold: Vec<Id>,
}

impl Revoked {
    /// The messages that `write` may have stored.
    pub(super) fn of(write: &mut Write) -> Vec<Revoked> {
        match write {
            Write::Put(messages) => {
                messages.iter_mut().map(|(message, _)| Revoked::message(message, Vec::new())).collect()
            }
            Write::Tell { notice, ids, .. } => {
                let untold = std::mem::take(ids);
                notice.iter_mut().map(|notice| Revoked::message(notice, untold.clone())).collect()
            }
            // The notice stays with its settlement, and is stored again with it.
            Write::Settle { settlement, .. } => {
                let revoked = |id| Revoked { id, file: None, untold: Vec::new() };
                settlement.notice.iter().map(|notice| revoked(notice.id)).collect()
            }
            Write::Retry(..)
            | Write::Drop(_)
            | Write::MendTimes { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::Spend(_)
            | Write::Remember(_)
            | Write::SaveTime(_)
            | Write::SetAside { .. }
            | Write::Banish { .. } => Vec::new(),
        }
    }

    fn message(message: &mut NewMessage, untold: Vec<Id>) -> Revoked {
        message.body.keep();
        let file = message.body.file().map(Path::to_owned);
        Revoked { id: message.id, file, untold }
    }
}

/// Deletes messages that a failed commit may have stored, and marks anew what they would have told of.
pub(super) fn take_back(conn: &Connection, revoked: &[Revoked]) -> rusqlite::Result<()> {
    for one in revoked {
        conn.execute("DELETE FROM message WHERE id = ?1", [one.id.as_str()])?;
        accounts::mark(conn, &one.untold, true)?;
    }
    Ok(())
}
