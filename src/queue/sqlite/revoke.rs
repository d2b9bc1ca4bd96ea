//! What was answered with an error, although its commit may have got through: it must not be there (promise 1).
//!
//! After a failed sync nobody knows what was written. So the messages of such a group are noted here, and deleted once
//! the database has been opened again. Invariant: the row goes first, then its file (promise 4).

use std::path::PathBuf;

use rusqlite::Connection;

use crate::mail::Id;
use crate::queue::body::Stored;
use crate::queue::entry::NewMessage;

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
    /// The message that `write` may have stored.
    pub(super) fn of(write: &mut Write) -> Option<Revoked> {
        match write {
            Write::Put(message, _) => Some(Revoked::message(message, Vec::new())),
            Write::Tell { notice, ids, .. } => {
                let untold = std::mem::take(ids);
                notice.as_mut().map(|notice| Revoked::message(notice, untold))
            }
            // The notice stays with its settlement, and is stored again with it.
            Write::Settle { settlement, .. } => {
                settlement.notice.as_ref().map(|n| Revoked { id: n.id, file: None, untold: Vec::new() })
            }
            Write::Retry(..)
            | Write::Drop(_)
            | Write::Hasten { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::Spend(_)
            | Write::Remember(_)
            | Write::SetAside { .. }
            | Write::Banish { .. } => None,
        }
    }

    fn message(message: &mut NewMessage, untold: Vec<Id>) -> Revoked {
        let file = match &mut message.body {
            Stored::Inline(_) => None,
            Stored::Spooled(file) => {
                file.keep();
                Some(file.path().to_owned())
            }
        };
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
