//! Copies the whole queue into one file while it is used, on a thread and a connection of its own.
//!
//! ```text
//!  gate shut -> VACUUM INTO FILE.part.db -> FILE.part: queue.db, spool/.. -> sync, rename, sync -> gate open
//!  (unlink)     one snapshot                 the bodies that it names
//! ```
//!
//! Invariants: FILE exists only when it is complete and synced. The bodies that the snapshot names are not unlinked before
//! they are in the archive (`unlink`). New mail comes first: the thread has a low priority, and syncs little at a time; a
//! backup for which the disk lacks room is refused at its begin. A body that cannot be read is no reason to have no backup:
//! its message is held after a restore, as it will be without one.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};
use rustix::fs::{OFlags, statvfs};
use rustix::process::{getgid, getuid, setpriority_process};
use tokio::sync::oneshot;

use crate::queue::archive::{Archive, Owner};
use crate::queue::folder::{self, fault};
use crate::queue::spool::{PIECE, open_file};
use crate::queue::{BackupReport, QueueError, Spool};

use super::connection::{Fault, Identity, connect_to_read, identity_of};
use super::reader::spawn;
use super::unlink::{BackupGate, RunningBackup};

/// After so many octets what was written is synced, so that the sync of a commit never waits for more.
const SYNC_AFTER: u64 = 1024 * 1024;
/// The priority of the thread, as `nice` counts it.
const NICE: i32 = 10;
/// The names in a data folder that belong to the queue.
const OWN_NAMES: [&str; 11] = [
    "queue.db",
    "queue.db-wal",
    "queue.db-shm",
    "queue.db-journal",
    "spool",
    "quarantine",
    "aside",
    "reserve",
    "space.probe",
    "yizhan.lock",
    "control.sock",
];

/// What is copied.
#[derive(Debug)]
pub(super) struct Source {
    /// The data folder.
    pub(super) folder: PathBuf,
    /// The database in it.
    pub(super) database: PathBuf,
    /// The file that the writer has open.
    pub(super) identity: Identity,
    pub(super) spool: Arc<Spool>,
}

/// Makes a backup of `source` in the new file `into`.
///
/// # Errors
/// Those of [`BackupGate::begin`], and those of the contract.
pub(super) async fn run(gate: &Arc<BackupGate>, source: Source, into: PathBuf) -> Result<BackupReport, QueueError> {
    let running = gate.begin()?;
    let (reply, answer) = oneshot::channel();
    let thread = spawn("queue-backup", move || {
        // The relay works as before, and the backup when there is time. Without this it only competes.
        let _ = setpriority_process(None, NICE);
        let given_up = || running.is_to_end() || reply.is_closed();
        let made = make(&source, &into, &running, &given_up);
        // The next backup may begin once this one is answered.
        drop(running);
        let _ = reply.send(made);
    });
    drop(thread?);
    let died = |_| QueueError::Io {
        what: "cannot make a backup".to_owned(),
        source: io::Error::other("its thread ended early; the log has the reason"),
    };
    answer.await.map_err(died)?
}

/// Makes the backup.
fn make(
    source: &Source,
    into: &Path,
    running: &RunningBackup,
    given_up: &dyn Fn() -> bool,
) -> Result<BackupReport, QueueError> {
    let target = Target::check(into, &source.folder)?;
    let conn = connect_to_read(&source.database).map_err(|error| Fault::of(&error, &source.folder).error())?;
    if source.identity.is_none() || source.identity != identity_of(&source.database) {
        let text = format!("{} was moved or deleted while it was in use", source.database.display());
        return Err(QueueError::Database(text));
    }
    running.interrupt(&conn);
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => QueueError::Closed,
        Some(ErrorCode::DatabaseCorrupt) => QueueError::Database(format!(
            "{error}; a damaged queue cannot be backed up while it is used: stop the relay and copy its data folder"
        )),
        _ => Fault::of(&error, &target.folder).error(),
    };
    target.must_have_room(&conn).map_err(failed)??;
    let copy = target.copy_database(&conn, failed)?;
    // The snapshot is complete: the log may be copied back from here on.
    drop(conn);
    let part = NewFile::create(&target.part)?;
    let report = write_archive(&part, copy, source, given_up)?;
    part.finish(&target)?;
    Ok(report)
}

/// Where the backup goes.
struct Target {
    file: PathBuf,
    folder: PathBuf,
    /// The archive while it is written.
    part: PathBuf,
    /// The copy of the database, before it is in the archive.
    database: PathBuf,
}

impl Target {
    /// Checks the name of the file: nothing has it, and it is not one of the queue's own.
    fn check(into: &Path, data: &Path) -> Result<Target, QueueError> {
        let refused = |kind, text: &str| {
            let what = format!("cannot write the backup {}", into.display());
            QueueError::Io { what, source: io::Error::new(kind, text) }
        };
        let file = absolute(into).map_err(|error| refused(error.kind(), &error.to_string()))?;
        let (Some(name), Some(folder)) = (file.file_name().and_then(|name| name.to_str()), file.parent()) else {
            return Err(refused(io::ErrorKind::InvalidInput, "this is no name of a file; choose another one"));
        };
        let folder = folder.canonicalize().map_err(|error| {
            refused(error.kind(), &format!("its folder {} cannot be used ({error}); make it first", folder.display()))
        })?;
        if fs::symlink_metadata(&file).is_ok() {
            return Err(refused(io::ErrorKind::AlreadyExists, "it exists; move it away or choose another name"));
        }
        let file = folder.join(name);
        let data = data.canonicalize().map_err(|error| fault("find", data, error))?;
        if OWN_NAMES.iter().any(|own| file.starts_with(data.join(own))) {
            return Err(refused(io::ErrorKind::InvalidInput, "the relay uses this place itself; choose another one"));
        }
        // SQLite takes the path of the database as text.
        if folder.to_str().is_none() {
            return Err(refused(
                io::ErrorKind::InvalidInput,
                "its folder has a name that is not UTF-8; choose another one",
            ));
        }
        let beside = |end: &str| folder.join(format!("{name}{end}"));
        let (part, database) = (beside(".part"), beside(".part.db"));
        Ok(Target { file, part, database, folder })
    }

    /// Refuses a backup for which the disk has no room. The copy of the database is there twice for some time.
    fn must_have_room(&self, conn: &Connection) -> rusqlite::Result<Result<(), QueueError>> {
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, f64>(0)).map(|octets| octets as u64);
        let database = number(
            "SELECT 1.0 * (page_count - freelist_count) * page_size \
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )?;
        let bodies = number("SELECT total(spool_len) FROM content WHERE spool IS NOT NULL")?;
        // A file system that does not report its space is tried.
        let free = statvfs(&self.folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let has_room = free / 2 >= database && free - 2 * database >= bodies;
        Ok(if has_room { Ok(()) } else { Err(QueueError::Full(self.folder.display().to_string())) })
    }

    /// Copies the database as it is at one moment. The copy has no name any more when this returns.
    fn copy_database(
        &self,
        conn: &Connection,
        failed: impl Fn(rusqlite::Error) -> QueueError + Copy,
    ) -> Result<DatabaseCopy, QueueError> {
        let _copy = NewFile::create(&self.database)?;
        // SQLite makes it beside the copy.
        let _journal = NewFile::remove(self.database.with_extension("db-journal"))?;
        // The copy is read once, and not after a crash. A sync of all of it would hold up the syncs of the writer.
        conn.execute_batch("PRAGMA synchronous = OFF").map_err(failed)?;
        conn.execute("VACUUM INTO ?1", [self.database.to_str()]).map_err(failed)?;
        let file = File::open(&self.database).map_err(|error| fault("open", &self.database, error))?;
        let copy = connect_to_read(&self.database).map_err(failed)?;
        let messages =
            copy.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0)).map_err(failed)?;
        let sql = "SELECT spool FROM content WHERE spool IS NOT NULL ORDER BY spool";
        let mut statement = copy.prepare(sql).map_err(failed)?;
        let bodies = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
        Ok(DatabaseCopy { file, messages: messages.max(0) as u64, bodies })
    }
}

/// A copy of the database, and what it names.
struct DatabaseCopy {
    file: File,
    messages: u64,
    bodies: Vec<String>,
}

/// A file that is removed when it is dropped, unless it was finished.
struct NewFile {
    path: PathBuf,
    file: Option<File>,
}

impl NewFile {
    /// Removes what a dead process has left at `path`, and will remove it again.
    fn remove(path: PathBuf) -> Result<NewFile, QueueError> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", &path, error)),
            Ok(()) | Err(_) => Ok(NewFile { path, file: None }),
        }
    }

    /// Makes the file, for its owner only.
    fn create(path: &Path) -> Result<NewFile, QueueError> {
        let mut new = NewFile::remove(path.to_owned())?;
        let nofollow = OFlags::NOFOLLOW.bits() as i32;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(nofollow);
        new.file = Some(options.open(path).map_err(|error| fault("create", path, error))?);
        Ok(new)
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("a file that was created is open")
    }

    /// Makes the file durable under the name of `target`.
    fn finish(mut self, target: &Target) -> Result<(), QueueError> {
        self.file().sync_all().map_err(|error| fault("sync", &self.path, error))?;
        if fs::symlink_metadata(&target.file).is_ok() {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "it was made by another program meanwhile");
            return Err(fault("write the backup", &target.file, error));
        }
        fs::rename(&self.path, &target.file).map_err(|error| fault("rename", &self.path, error))?;
        // From here on this is the file to remove.
        self.path = target.file.clone();
        folder::sync(&target.folder)?;
        // The folder is synced: it stays.
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // A file that is missing is what is wanted.
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes the archive.
fn write_archive(
    part: &NewFile,
    copy: DatabaseCopy,
    source: &Source,
    given_up: &dyn Fn() -> bool,
) -> Result<BackupReport, QueueError> {
    let path = &part.path;
    let wrong = |error| fault("write", path, error);
    // The time of the new file is the time of all of them.
    let changed = part.file().metadata().map_err(wrong)?.mtime().max(0) as u64;
    let owner = Owner { user: getuid().as_raw(), group: getgid().as_raw(), changed };
    let mut copier = Copier { archive: Archive::new(part.file(), owner), path, synced: 0, given_up };
    let DatabaseCopy { file, messages, bodies } = copy;
    copier.copy("queue.db", file).map_err(Failed::error)?;
    copier.archive.folder("spool/").map_err(wrong)?;
    let mut folders = BTreeSet::new();
    for body in bodies {
        let Some(place) = source.spool.path(&body) else {
            tracing::warn!(
                event = "queue_error",
                name = body,
                "a body is not in the backup: its name is not one of the queue's"
            );
            continue;
        };
        let end = body[14..].to_owned();
        let name = format!("spool/{end}/{body}");
        let file = match open_file(&place) {
            Ok(file) => file,
            Err(error) => {
                left_out(fault("open", &place, error))?;
                continue;
            }
        };
        if folders.insert(end.clone()) {
            copier.archive.folder(&format!("spool/{end}/")).map_err(wrong)?;
        }
        match copier.copy(&name, file) {
            Err(Failed::Read(error)) => left_out(fault("read", &place, error))?,
            other => other.map_err(Failed::error)?,
        }
    }
    copier.archive.finish().map_err(wrong)?;
    Ok(BackupReport { messages, octets: copier.archive.octets() })
}

/// Logs that a body cannot be read.
///
/// # Errors
/// The error itself, when it is not the fault of the file.
fn left_out(error: QueueError) -> Result<(), QueueError> {
    if !error.is_about_the_file() {
        return Err(error);
    }
    tracing::warn!(event = "queue_error", %error, "a body is not whole in the backup; after a restore its message is held");
    Ok(())
}

/// Why a file was not copied.
enum Failed {
    /// It cannot be read. The archive has zeros in its place.
    Read(io::Error),
    /// The archive cannot be written, or the backup was given up.
    Write(QueueError),
}

impl Failed {
    fn error(self) -> QueueError {
        match self {
            Failed::Read(source) => QueueError::Io { what: "cannot read the copy of the database".to_owned(), source },
            Failed::Write(error) => error,
        }
    }
}

/// Copies files into the archive, a piece at a time.
struct Copier<'a> {
    archive: Archive<&'a File>,
    path: &'a Path,
    /// Octets that are synced.
    synced: u64,
    given_up: &'a dyn Fn() -> bool,
}

impl Copier<'_> {
    /// Copies a file to the end of the archive, with the length that it has now.
    fn copy(&mut self, name: &str, mut file: File) -> Result<(), Failed> {
        let len = file.metadata().map_err(Failed::Read)?.len();
        self.archive.file(name, len).map_err(|error| self.wrong(error))?;
        let (mut left, mut unreadable) = (len, None);
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let octets = &mut piece[..left.min(PIECE as u64) as usize];
            if unreadable.is_none() {
                unreadable = file.read_exact(octets).err();
            }
            if unreadable.is_some() {
                // The archive goes on behind it: its length is written already.
                octets.fill(0);
            }
            self.write(octets).map_err(Failed::Write)?;
            left -= octets.len() as u64;
        }
        self.archive.end_file().map_err(|error| self.wrong(error))?;
        unreadable.map_or(Ok(()), |error| Err(Failed::Read(error)))
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), QueueError> {
        if (self.given_up)() {
            return Err(QueueError::Closed);
        }
        self.archive.write(octets).map_err(|error| fault("write", self.path, error))?;
        if self.archive.octets() - self.synced >= SYNC_AFTER {
            self.synced = self.archive.octets();
            let begun = Instant::now();
            self.archive.inner().sync_data().map_err(|error| fault("sync", self.path, error))?;
            // The disk is the writer's for as long again. Measured, with the rest of what keeps this thread back: new mail
            // comes at two thirds of its rate instead of a third.
            sleep(begun.elapsed());
        }
        Ok(())
    }

    fn wrong(&self, error: io::Error) -> Failed {
        Failed::Write(fault("write", self.path, error))
    }
}
