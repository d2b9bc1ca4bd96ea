//! What is checked and put in order when the queue is opened: files without a row, rows without their file, damaged names.
//!
//! Only `.part` files are deleted, which were never acknowledged (promise 5). A finished file that no row names is moved to
//! `quarantine/`: after a crash between two steps no message owns it, after a lost database it may be all there is. The
//! content of files is not read here, so that opening stays fast; that happens before a message is sent.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Lane};
use crate::queue::client_lines::ClientLine;
use crate::queue::counters_and_leases::LineCount;
use crate::queue::{MessageState, Spool, StartupReport, folder};

use super::change::{Done, hold};
use super::history_index;
use super::rows::{as_text, lane, lossy};

/// A database of at most this many octets is checked and counted before the first change; that takes some milliseconds.
const SMALL: u64 = 32 * 1024 * 1024;

/// Returns whether the database is checked and counted before the first change.
pub(super) fn is_small(path: &Path) -> bool {
    path.metadata().map_or(true, |file| file.len() <= SMALL)
}

/// What is in the queue at its start.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) counts: Vec<LineCount>,
    pub(super) clients: Vec<WaitingClient>,
    /// A name of a pool, a lane or a client is damaged: [`mend_lines`] is needed.
    pub(super) damaged: bool,
}

/// A client that waits in a line, and when its first message is due.
#[derive(Debug)]
pub(super) struct WaitingClient {
    pub(super) line: ClientLine,
    pub(super) due: Timestamp,
}

/// Reads all messages that are not finished.
pub(super) fn survey(conn: &Connection) -> rusqlite::Result<Survey> {
    Ok(Survey { counts: count(conn)?, clients: clients(conn)?, damaged: !damaged_lines(conn)?.is_empty() })
}

/// Counts the unfinished messages.
pub(super) const COUNT: &str = "SELECT state, pool, lane, count(*), total(size) FROM message \
    WHERE state IN ('queued', 'sending', 'waiting', 'deferred', 'held') GROUP BY state, pool, lane";

/// How many messages of each pool and lane are in each state, and how many octets they have. Of finished ones only the number
/// counts, which the history has.
pub(super) fn count(conn: &Connection) -> rusqlite::Result<Vec<LineCount>> {
    let mut statement = conn.prepare(COUNT)?;
    let mut rows = statement.query([])?;
    let finished = [MessageState::Delivered, MessageState::Failed].into_iter().zip(history_index::count(conn)?);
    let all = |(state, messages)| LineCount { state, pool: String::new(), lane: Lane::default(), messages, bytes: 0 };
    let mut counts: Vec<LineCount> = finished.map(all).collect();
    while let Some(row) = rows.next()? {
        // A row with an unknown state goes to quarantine when it is met.
        if let Some(state) = row.get_ref(0)?.as_str().ok().and_then(MessageState::parse) {
            let pool = lossy(row.get_ref(1)?.as_bytes().unwrap_or_default());
            let (messages, bytes) = (row.get::<_, i64>(3)?.max(0) as u64, row.get::<_, f64>(4)? as u64);
            counts.push(LineCount { state, pool, lane: lane(row, 2)?, messages, bytes });
        }
    }
    Ok(counts)
}

/// The first message of the client that comes after these in the index.
pub(super) const NEXT_CLIENT: &str = "SELECT pool, lane, client_key, due FROM message \
    WHERE due IS NOT NULL AND (pool, lane, client_key) > (?1, ?2, ?3) ORDER BY pool, lane, client_key, due LIMIT 1";

/// Every client of every pool and lane with a due message: the pool, the lane and the key as they are stored, and the due time
/// of its first message. Goes from client to client by the index, so that the time depends on their number only.
fn all_clients(conn: &Connection) -> rusqlite::Result<Vec<([Vec<u8>; 3], i64)>> {
    let mut next = conn.prepare(NEXT_CLIENT)?;
    let mut clients: Vec<([Vec<u8>; 3], i64)> = Vec::new();
    loop {
        let none = Default::default();
        let last = clients.last().map_or(&none, |(names, _)| names);
        let found = next.query_row(params![as_text(&last[0]), as_text(&last[1]), as_text(&last[2])], |row| {
            let octets =
                |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes().unwrap_or_default().to_vec());
            Ok(([octets(0)?, octets(1)?, octets(2)?], row.get::<_, i64>(3)?))
        });
        // In a damaged index the next one may not come after this one.
        match found.optional()?.filter(|(found, _)| found > last) {
            Some(found) => clients.push(found),
            None => return Ok(clients),
        }
    }
}

/// Which clients wait in which line.
pub(super) fn clients(conn: &Connection) -> rusqlite::Result<Vec<WaitingClient>> {
    let waiting = |([pool, lane, client], due): ([Vec<u8>; 3], i64)| {
        let lane = Lane::parse(&lossy(&lane)).unwrap_or_default();
        let line = ClientLine { pool: lossy(&pool).into(), lane, client: ClientKey::stored(&lossy(&client)) };
        WaitingClient { line, due: Timestamp::from_millis(due) }
    };
    Ok(all_clients(conn)?.into_iter().map(waiting).collect())
}

/// Mends damaged names. A message in a lane, in a pool or of a client with such a name would never be leased: it becomes a
/// normal one without a pool, of a client without a name.
pub(super) fn mend_lines(conn: &Connection, report: &mut StartupReport) -> rusqlite::Result<()> {
    for ([pool, lane, client], mended) in damaged_lines(conn)? {
        let sql = "UPDATE message SET pool = '', client_key = '', lane = ?4 \
                   WHERE pool = ?1 AND lane = ?2 AND client_key = ?3 AND due IS NOT NULL";
        let parameters = params![as_text(&pool), as_text(&lane), as_text(&client), mended.name()];
        let changed = conn.execute(sql, parameters)?;
        let (pool, lane) = (lossy(&pool), lossy(&lane));
        report.push(format!(
            "{changed} messages were in lane {lane:?} of pool {pool:?}, which cannot be; they are assigned anew"
        ));
    }
    Ok(())
}

/// The pools, lanes and clients that have a damaged name, with the lane that they shall have.
fn damaged_lines(conn: &Connection) -> rusqlite::Result<Vec<([Vec<u8>; 3], Lane)>> {
    let damaged = |(names, _): ([Vec<u8>; 3], i64)| {
        let [pool, lane, client] = &names;
        let lane = str::from_utf8(lane).ok().and_then(Lane::parse);
        let sound = lane.is_some() && str::from_utf8(pool).is_ok() && str::from_utf8(client).is_ok();
        (!sound).then_some((names, lane.unwrap_or_default()))
    };
    Ok(all_clients(conn)?.into_iter().filter_map(damaged).collect())
}

/// Compares the rows with the files, and adds a sentence to `report` for each difference.
///
/// # Errors
/// Only those of the database; a file that cannot be moved is a sentence.
pub(super) fn put_in_order(conn: &Connection, spool: &Spool, report: &mut StartupReport) -> rusqlite::Result<()> {
    // A missing table is found now, not when an attempt has ended. Only that: a damaged page in one of them is no reason
    // to keep the mail.
    conn.prepare(
        "SELECT account.state, minute, logins, outcome, seen, origin FROM account, usage, recipient, saved_time, command",
    )?;
    conn.prepare("SELECT account.state, minute, logins, outcome, seen FROM account, usage, recipient, saved_time")?;
    conn.prepare("SELECT present, records, deleted.seq FROM history_new, history_block, history_term, deleted")?;
    let named = check_rows(conn, spool, report)?;
    let quarantine = Quarantine::open(spool, report);
    for folder in entries(spool.folder(), report) {
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {
                for file in entries(&folder, report) {
                    sweep(&file, spool, &named, &quarantine, report);
                }
            }
            // The relay must not sort the files that a link leads to.
            Ok(found) if found.is_symlink() => quarantine.take(&folder, report),
            Ok(_) | Err(_) => {}
        }
    }
    let sql = "SELECT CAST(id AS TEXT), CAST(trouble AS TEXT) FROM message WHERE state = 'aside'";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, trouble): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        report.push(format!(
            "message {id:?} is set aside because its row cannot be read: {}; `drop` deletes it",
            trouble.unwrap_or_default()
        ));
    }
    Ok(())
}

/// Holds messages whose file is missing or has another length; returns the names that rows use.
fn check_rows(conn: &Connection, spool: &Spool, report: &mut StartupReport) -> rusqlite::Result<HashSet<String>> {
    let sql = "SELECT c.seq, c.spool, c.spool_len, m.id, m.state FROM content c JOIN message m USING (seq) \
               WHERE c.spool IS NOT NULL";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut named, mut broken) = (HashSet::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (seq, name, len): (i64, String, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (id, state): (String, String) = (row.get(3)?, row.get(4)?);
        let trouble = trouble_of(spool, &name, len);
        named.insert(name);
        if let Some(trouble) = trouble.filter(|_| state != "held" && state != "aside") {
            report.push(format!("message {id} is held: {trouble}"));
            broken.push((seq, trouble));
        }
    }
    drop(rows);
    for (seq, trouble) in broken {
        hold(conn, seq, &trouble, &mut Done::default())?;
    }
    Ok(named)
}

/// What is wrong with the file of a body, by its name and length only.
fn trouble_of(spool: &Spool, name: &str, len: Option<i64>) -> Option<String> {
    let Some(path) = spool.path(name) else {
        return Some(format!("the name of its body's file, {name:?}, is not one of ours"));
    };
    let at = path.display();
    if path.parent().is_some_and(Path::is_symlink) {
        return Some(format!("the folder of {at} is a symbolic link"));
    }
    match fs::symlink_metadata(&path) {
        Ok(meta) if !meta.is_file() => Some(format!("{at} is no file")),
        Ok(meta) if Some(meta.len() as i64) == len => None,
        Ok(meta) => Some(format!("{at} has {} octets instead of {}", meta.len(), len.unwrap_or_default())),
        Err(error) => Some(format!("{at} cannot be read: {error}")),
    }
}

/// What is in `folder`; nothing when it cannot be read, which is then a sentence of its own.
fn entries(folder: &Path, report: &mut StartupReport) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            report.push(format!("{} cannot be read: {error}", folder.display()));
            Vec::new()
        }
    }
}

/// Deletes or moves away one file of the spool, unless a row names it.
fn sweep(file: &Path, spool: &Spool, named: &HashSet<String>, quarantine: &Quarantine, report: &mut StartupReport) {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if named.contains(name) && spool.path(name).is_some_and(|path| path == file) {
        return;
    }
    if name.strip_suffix(".part").is_none_or(|stem| spool.path(stem).is_none()) {
        return quarantine.take(file, report);
    }
    report.push(match fs::remove_file(file) {
        Ok(()) => format!("{} was never finished; removed", file.display()),
        Err(error) => format!("{} was never finished and cannot be removed: {error}", file.display()),
    });
}

/// The folder for files that no message owns.
struct Quarantine(PathBuf);

impl Quarantine {
    /// The folder beside the spool. What an earlier version kept in `aside` moves there.
    fn open(spool: &Spool, report: &mut StartupReport) -> Quarantine {
        let quarantine = Quarantine(spool.folder().with_file_name("quarantine"));
        let old = spool.folder().with_file_name("aside");
        // A link is not followed, and is no folder of the relay.
        if fs::symlink_metadata(&old).is_ok_and(|found| found.is_dir()) {
            let moved = quarantine.make().and_then(|()| {
                for file in entries(&old, report) {
                    quarantine.put(&file, &file.file_name().unwrap_or_default().to_string_lossy())?;
                }
                fs::remove_dir(&old).map_err(|error| error.to_string())
            });
            report.push(match moved {
                Ok(()) => format!("{} is now called {}", old.display(), quarantine.0.display()),
                Err(error) => format!("{} cannot be moved to {}: {error}", old.display(), quarantine.0.display()),
            });
        }
        quarantine
    }

    fn make(&self) -> Result<(), String> {
        folder::refuse_link(&self.0).and_then(|()| folder::make(&self.0)).map_err(|error| error.to_string())
    }

    /// Moves a file here. A file that has the name already stays as it is.
    fn put(&self, file: &Path, name: &str) -> Result<PathBuf, String> {
        let free = |target: &PathBuf| fs::symlink_metadata(target).is_err();
        let numbered = (1..100).map(|n| self.0.join(format!("{name}.{n}")));
        let target = std::iter::once(self.0.join(name)).chain(numbered).find(free);
        let target = target.ok_or_else(|| format!("too many files are called {name}"))?;
        fs::rename(file, &target).map_err(|error| error.to_string()).map(|()| target)
    }

    /// Moves away what no message owns; of a link the link, not what it leads to.
    fn take(&self, file: &Path, report: &mut StartupReport) {
        // The folder it came from becomes part of the name, so that two files never meet.
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let name = format!("{folder}-{}", file.file_name().unwrap_or_default().to_string_lossy());
        report.push(match self.make().and_then(|()| self.put(file, &name)) {
            Ok(target) => format!("{} belongs to no message; moved to {}", file.display(), target.display()),
            Err(error) => format!("{} belongs to no message and cannot be moved: {error}", file.display()),
        });
    }
}
