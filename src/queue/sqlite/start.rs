//! What is put in order when the queue is opened: files without a row, rows without their file, what a crash left.
//!
//! Nothing is deleted but `.part` files, which were never acknowledged (promise 5). A finished file that no row names
//! is moved to `aside/`: after a crash between two steps it is nobody's, after a lost database it may be all there is.
//! The content of files is not read here, so that opening stays fast; that happens before a message is sent.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use crate::mail::{ClientKey, Lane};
use crate::queue::{MessageState, Spool, StartupReport, folder};

use super::apply::{hold, lane_of};
use super::ledger::Counted;

/// What is in the queue: what the writer keeps in memory.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) counts: Vec<Counted>,
    /// As [`clients`] gives them.
    pub(super) clients: Vec<(String, Lane, ClientKey, i64)>,
    /// A name of a pool, a lane or a client is damaged: [`check_lines`] is needed.
    pub(super) damaged: bool,
}

/// Looks at all messages.
pub(super) fn survey(conn: &Connection) -> rusqlite::Result<Survey> {
    Ok(Survey { counts: count(conn)?, clients: clients(conn)?, damaged: !damaged_lines(conn)?.is_empty() })
}

/// How many messages of each pool and lane are in each state, and how many octets they have.
pub(super) fn count(conn: &Connection) -> rusqlite::Result<Vec<Counted>> {
    let sql = "SELECT state, pool, lane, count(*), total(size) FROM message GROUP BY state, pool, lane";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        // A state that is not one of ours belongs to a row that is set aside when it is met.
        if let Some(state) = row.get_ref(0)?.as_str().ok().and_then(MessageState::parse) {
            let pool = String::from_utf8_lossy(row.get_ref(1)?.as_bytes().unwrap_or_default()).into_owned();
            let lane = lane_of(row, 2)?;
            let (messages, bytes) = (row.get::<_, i64>(3)?.max(0) as u64, row.get::<_, f64>(4)? as u64);
            counts.push(Counted { state, pool, lane, messages, bytes });
        }
    }
    Ok(counts)
}

/// Holds the rows against the files, and adds a sentence to `report` for each thing that does not fit.
///
/// # Errors
/// Only what the database says; a file that cannot be moved is a sentence.
pub(super) fn put_in_order(conn: &Connection, spool: &Spool, report: &mut StartupReport) -> rusqlite::Result<()> {
    // A table that is not there is found now, not when a try has ended. Only that: a damaged page in one of them is no
    // reason to keep the mail.
    conn.prepare("SELECT account.state, minute, logins, outcome, seen FROM account, usage, recipient, saved_time")?;
    let named = check_rows(conn, spool, report)?;
    let aside = spool.folder().with_file_name("aside");
    for folder in entries(spool.folder(), report) {
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {
                for file in entries(&folder, report) {
                    sweep(&file, spool, &named, &aside, report);
                }
            }
            // What it leads to is not ours to sort.
            Ok(found) if found.is_symlink() => set_aside(&folder, &aside, report),
            Ok(_) | Err(_) => {}
        }
    }
    let mut statement =
        conn.prepare("SELECT CAST(id AS TEXT), CAST(trouble AS TEXT) FROM message WHERE state = 'aside'")?;
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

/// The first message of the client that comes after these in the index.
pub(super) const NEXT_CLIENT: &str = "SELECT pool, lane, client_key, due FROM message \
    WHERE due IS NOT NULL AND (pool, lane, client_key) > (?1, ?2, ?3) ORDER BY pool, lane, client_key, due LIMIT 1";

/// Calls `each` for every client of every pool and lane that has something due at some time: with the pool, the lane and
/// the key as they are stored, and the due time of its first message. Goes from client to client by the index, so the time
/// depends on their number only.
pub(super) fn each_client(
    conn: &Connection,
    mut each: impl FnMut(&[Vec<u8>; 3], i64) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut next = conn.prepare(NEXT_CLIENT)?;
    let mut names: [Vec<u8>; 3] = Default::default();
    loop {
        let parameters = params![as_text(&names[0]), as_text(&names[1]), as_text(&names[2])];
        let found = next.query_row(parameters, |row| {
            let octets =
                |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes().unwrap_or_default().to_vec());
            Ok(([octets(0)?, octets(1)?, octets(2)?], row.get::<_, i64>(3)?))
        });
        // In a damaged index the next one may not come after this one.
        let Some((found, due)) = found.optional()?.filter(|(found, _)| *found > names) else { return Ok(()) };
        each(&found, due)?;
        names = found;
    }
}

/// Which clients wait in which pool and lane, with the due time of the first message of each.
pub(super) fn clients(conn: &Connection) -> rusqlite::Result<Vec<(String, Lane, ClientKey, i64)>> {
    let mut clients = Vec::new();
    each_client(conn, |[pool, lane, key], due| {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let lane = Lane::parse(&text(lane)).unwrap_or_default();
        clients.push((text(pool), lane, ClientKey::stored(&text(key)), due));
        Ok(())
    })?;
    Ok(clients)
}

/// A message in a lane, a pool or of a client whose name is damaged would never be leased: it becomes a normal one that is
/// not assigned yet, of a client without a name.
pub(super) fn check_lines(conn: &Connection, report: &mut StartupReport) -> rusqlite::Result<()> {
    for ([pool, lane, key], mended) in damaged_lines(conn)? {
        let sql = "UPDATE message SET pool = '', client_key = '', lane = ?4 \
                   WHERE pool = ?1 AND lane = ?2 AND client_key = ?3 AND due IS NOT NULL";
        let parameters = params![as_text(&pool), as_text(&lane), as_text(&key), mended.name()];
        let changed = conn.execute(sql, parameters)?;
        let (pool, lane) = (String::from_utf8_lossy(&pool), String::from_utf8_lossy(&lane));
        report.push(format!(
            "{changed} messages were in lane {lane:?} of pool {pool:?}, which cannot be; they are assigned anew"
        ));
    }
    Ok(())
}

/// The pools, lanes and clients that have a damaged name, with the lane that they shall have.
fn damaged_lines(conn: &Connection) -> rusqlite::Result<Vec<([Vec<u8>; 3], Lane)>> {
    let mut damaged = Vec::new();
    each_client(conn, |names, _| {
        let [pool, lane, key] = names;
        let lane = str::from_utf8(lane).ok().and_then(Lane::parse);
        if lane.is_none() || str::from_utf8(pool).is_err() || str::from_utf8(key).is_err() {
            damaged.push((names.clone(), lane.unwrap_or_default()));
        }
        Ok(())
    })?;
    Ok(damaged)
}

/// Octets that a column gave as text, as a parameter.
pub(super) fn as_text(octets: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(octets))
}

/// Holds messages whose file is missing or has another length; gives the names that rows use.
fn check_rows(conn: &Connection, spool: &Spool, report: &mut StartupReport) -> rusqlite::Result<HashSet<String>> {
    let sql = "SELECT c.seq, c.spool, c.spool_len, m.id, m.state FROM content c JOIN message m USING (seq) \
               WHERE c.spool IS NOT NULL";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut named, mut broken) = (HashSet::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (seq, name, len): (i64, String, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (id, state): (String, String) = (row.get(3)?, row.get(4)?);
        let trouble = match spool.path(&name) {
            None => Some(format!("the name of its body's file, {name:?}, is not one of ours")),
            Some(path) if path.parent().is_some_and(Path::is_symlink) => {
                Some(format!("the folder of {} is a symbolic link", path.display()))
            }
            Some(path) => match fs::symlink_metadata(&path) {
                Ok(meta) if !meta.is_file() => Some(format!("{} is no file", path.display())),
                Ok(meta) if Some(meta.len() as i64) == len => None,
                Ok(meta) => {
                    Some(format!("{} has {} octets instead of {}", path.display(), meta.len(), len.unwrap_or_default()))
                }
                Err(error) => Some(format!("{} cannot be read: {error}", path.display())),
            },
        };
        named.insert(name);
        if let Some(trouble) = trouble.filter(|_| state != "held" && state != "aside") {
            report.push(format!("message {id} is held: {trouble}"));
            broken.push((seq, trouble));
        }
    }
    drop(rows);
    for (seq, trouble) in broken {
        hold(conn, seq, &trouble)?;
    }
    Ok(named)
}

/// What is in `folder`; nothing when it cannot be read, which is then a sentence of its own.
fn entries(folder: &Path, report: &mut StartupReport) -> Vec<std::path::PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            report.push(format!("{} cannot be read: {error}", folder.display()));
            Vec::new()
        }
    }
}

/// Deals with one file of the spool.
fn sweep(file: &Path, spool: &Spool, named: &HashSet<String>, aside: &Path, report: &mut StartupReport) {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if named.contains(name) && spool.path(name).is_some_and(|path| path == file) {
        return;
    }
    let unfinished = name.strip_suffix(".part").is_some_and(|stem| spool.path(stem).is_some());
    if unfinished {
        match fs::remove_file(file) {
            Ok(()) => report.push(format!("{} was never finished; removed", file.display())),
            Err(error) => report.push(format!("{} was never finished and cannot be removed: {error}", file.display())),
        }
        return;
    }
    set_aside(file, aside, report);
}

/// Moves away what no message owns; of a link the link, not what it leads to.
fn set_aside(file: &Path, aside: &Path, report: &mut StartupReport) {
    // The folder it came from becomes part of the name, so that two files never meet.
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let target = aside.join(format!("{folder}-{}", file.file_name().unwrap_or_default().to_string_lossy()));
    let moved = folder::refuse_link(aside).and_then(|()| folder::make(aside)).map_err(|e| e.to_string());
    let moved = moved.and_then(|()| fs::rename(file, &target).map_err(|e| e.to_string()));
    match moved {
        Ok(()) => report.push(format!("{} belongs to no message; moved to {}", file.display(), target.display())),
        Err(error) => report.push(format!("{} belongs to no message and cannot be moved: {error}", file.display())),
    }
}
