//! The database as the writer holds it: locked, opened, checked for being in its place, and opened again after a failure.
//!
//! When its files are moved or deleted while they are open, everything that is written into them is lost with them; the open
//! connection still reads what is queued. Invariants: two processes never share a data folder (promise 8). A connection that
//! has failed is closed before another one is opened. A [`Failure::Broken`] is followed by no other statement on the same
//! connection but a rollback.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::queue::{QueueError, folder};

use super::schema::{self, Origin, VERSION};

/// Free pages that are left alone: they will be used again soon.
const SPARE_PAGES: i64 = 1024;

const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// Device and inode of a file; `None` when there is none.
pub(super) type Identity = Option<(u64, u64)>;

/// The identity of the file that has this name now.
pub(super) fn identity_of(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The database in a data folder.
#[derive(Debug)]
pub(super) struct Database {
    folder: PathBuf,
    lock: FolderLock,
    /// `None` after a failure, until it is opened again.
    conn: Option<Connection>,
    /// The file that is open.
    identity: Identity,
}

impl Database {
    /// Locks the folder and opens the database in it, which is made when it is missing. True: an empty file was there.
    ///
    /// # Errors
    /// [`QueueError::InUse`]; [`QueueError::Unusable`] when the file is no queue: it is left as it is.
    pub(super) fn open(folder: &Path, spool: &Path) -> Result<(Database, bool), QueueError> {
        folder::make(folder)?;
        let lock = FolderLock::take(folder)?;
        folder::refuse_link(spool)?;
        folder::make(spool)?;
        let mut database = Database { folder: folder.to_owned(), lock, conn: None, identity: None };
        let path = database.path();
        let existed = path.exists();
        let (conn, empty) = connect(&path)?;
        (database.conn, database.identity) = (Some(conn), identity_of(&path));
        Ok((database, empty && existed))
    }

    /// The database's file.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("queue.db")
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that is open.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// The connection; an error while there is none.
    pub(super) fn conn(&self) -> rusqlite::Result<&Connection> {
        let lost = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), None);
        self.conn.as_ref().ok_or_else(lost)
    }

    /// Returns whether there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Returns whether the files were moved or deleted, or cannot be seen: the names lead to other files, or to none.
    pub(super) fn is_missing(&self) -> bool {
        self.conn.is_some() && self.identity != identity_of(&self.path())
    }

    /// Sorts an error of the database.
    pub(super) fn fault(&self, error: &rusqlite::Error) -> Fault {
        Fault::of(error, &self.folder)
    }

    /// Closes the connection, which makes SQLite drop the frames of a commit that failed.
    pub(super) fn abandon(&mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = conn.close();
        }
    }

    /// Opens the database again after a failure, and runs `undo` first of all. False when it is open already.
    pub(super) fn reopen(
        &mut self,
        spool: &Path,
        undo: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<bool, Fault> {
        if self.conn.is_some() {
            return Ok(false);
        }
        folder::make(spool)?;
        if !self.lock.is_in(&self.folder) {
            // The lock went with the folder: another process could take one of that name.
            self.lock = FolderLock::take(&self.folder)?;
        }
        let (conn, _) = connect(&self.path())?;
        undo(&conn).map_err(|error| self.fault(&error))?;
        (self.conn, self.identity) = (Some(conn), identity_of(&self.path()));
        Ok(true)
    }

    /// Copies the log back into the database as far as that is possible. Once all of it is copied, the next transaction
    /// overwrites it from its beginning.
    pub(super) fn copy_log_back(&self) -> rusqlite::Result<()> {
        self.conn()?.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    /// Gives some free pages back to the file system; true when there are more.
    pub(super) fn give_back_pages(&self) -> rusqlite::Result<bool> {
        let conn = self.conn()?;
        let free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if free <= SPARE_PAGES {
            // What was freed shows in the file only after the log has been copied back.
            return self.copy_log_back().map(|()| false);
        }
        // Each step of the statement frees one page.
        let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({SPARE_PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }

    /// Closes the database, then gives the folder back.
    pub(super) fn close(self) -> Result<(), QueueError> {
        let closed = self.conn.map_or(Ok(()), |conn| conn.close().map_err(|(_, error)| error));
        drop(self.lock);
        closed.map_err(|error| QueueError::Database(error.to_string()))
    }
}

/// The lock on a data folder: an advisory `flock` on `yizhan.lock`, which the kernel ends with the process. The number inside
/// is for people. The file stays where it is: removing it would let two processes lock two files of one name.
#[derive(Debug)]
struct FolderLock(File);

impl FolderLock {
    fn take(folder: &Path) -> Result<FolderLock, QueueError> {
        let path = folder.join("yizhan.lock");
        let io = |what: &str, source| QueueError::Io { what: format!("cannot {what} {}", path.display()), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // Through a link the file of another program would be emptied.
        let file = options.custom_flags(NOFOLLOW).open(&path).map_err(|e| io("open", e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&file).take(20).read_to_string(&mut text);
                return Err(QueueError::InUse(format!(
                    "{} is in use by another yizhan (process {}); stop it, or give this one a data_dir of its own",
                    folder.display(),
                    text.trim().parse().unwrap_or(0),
                )));
            }
            Err(error) => return Err(io("lock", error.into())),
        }
        // A full disk must not keep the queue from being opened: it is opened to be emptied.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0));
        Ok(FolderLock(file))
    }

    /// Returns whether the lock is still the one that others would meet in `folder`.
    fn is_in(&self, folder: &Path) -> bool {
        let ours = self.0.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        ours.is_some() && ours == identity_of(&folder.join("yizhan.lock"))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would not do while a child that has just been forked holds a copy.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Opens the database, makes it when it is missing, and sets what a connection must have. True: it was empty.
fn connect(path: &Path) -> Result<(Connection, bool), QueueError> {
    refuse_links(path)?;
    refuse_lost_database(path)?;
    create_private(path)?;
    let open = || -> rusqlite::Result<(Connection, Origin)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.set_prepared_statement_cache_capacity(64);
        // Order matters: auto_vacuum counts only before the first page is written, which journal_mode does. Later it
        // would still write a page at each opening, and a queue on a full disk could not be opened to be emptied.
        if path.metadata().is_ok_and(|file| file.len() == 0) {
            conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        set_up(&conn)?;
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA foreign_keys = ON;",
        )?;
        let origin = schema::prepare(&conn)?;
        Ok((conn, origin))
    };
    let (conn, origin) = open().map_err(|error| explain(&error, path))?;
    let unusable = |reason: String| Err(QueueError::Unusable { place: path.display().to_string(), reason });
    match origin {
        Origin::New => return Ok((conn, true)),
        Origin::Present => {}
        Origin::Upgraded => {
            tracing::info!(event = "queue_upgraded", path = %path.display(), format = VERSION, "the queue has a new format; earlier versions cannot read it");
        }
        Origin::Later(format) => {
            return unusable(format!(
                "it has format {format} and this version reads format {VERSION}; start the later version again, or \
                 give this one a data_dir of its own"
            ));
        }
        Origin::Foreign => {
            return unusable("it is the database of another program; give yizhan a data_dir of its own".to_owned());
        }
    }
    Ok((conn, false))
}

/// Opens the database for reading.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    set_up(&conn)?;
    Ok(conn)
}

/// Sets what each connection must have.
fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(5))?;
    // One plan for each query, whatever its parameters are. Measured: without it SQLite parses `lease` and the reading of
    // recipients anew at each call, to look at the values; that is a sixth of the time of a whole cycle.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;")
}

/// The name of a file beside the database.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Refuses links in the place of the database or its log: through one, mail would be written where another user chose.
/// SQLite's own flag refuses links in the way to the data folder too, which its owner may have made.
fn refuse_links(path: &Path) -> Result<(), QueueError> {
    let files = ["", "-wal", "-shm"].map(|end| beside(path, end));
    let Some(link) = files.iter().find(|file| file.is_symlink()) else { return Ok(()) };
    let reason = "it is a symbolic link; move it away, and what it leads to into its place".to_owned();
    Err(QueueError::Unusable { place: link.display().to_string(), reason })
}

/// SQLite takes an empty file for a new database and deletes the log beside it. A log means that there was mail.
fn refuse_lost_database(path: &Path) -> Result<(), QueueError> {
    let size = |p: &Path| p.metadata().map_or(0, |m| m.len());
    if size(path) > 0 || size(&beside(path, "-wal")) == 0 {
        return Ok(());
    }
    let reason = "it is empty or missing, but its log is not; restore it from a copy, or move the -wal file away to \
                  start afresh";
    Err(QueueError::Unusable { place: path.display().to_string(), reason: reason.to_owned() })
}

/// Creates the file for its owner only; SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> Result<(), QueueError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(QueueError::Io { what: format!("cannot create {}", path.display()), source })
        }
        _ => Ok(()),
    }
}

/// Turns an error at opening into one that names the remedy.
pub(super) fn explain(error: &rusqlite::Error, path: &Path) -> QueueError {
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => format!(
            "{error}; nothing was changed. Restore it from a copy, save what can be saved with `sqlite3 .recover`, or move \
             it away to start afresh"
        ),
        // No code, or a plain one: a table is missing.
        None | Some(ErrorCode::Unknown) => format!("{error}; restore it from a copy or move it away"),
        Some(_) => return Fault::of(error, path.parent().unwrap_or(path)).error(),
    };
    QueueError::Unusable { place: path.display().to_string(), reason }
}

/// Why one change was not made.
#[derive(Debug)]
pub(super) enum Failure {
    /// The change itself is at fault; the others of its group are not touched.
    Refused(QueueError),
    /// A page that the change needs is damaged. Measured: once SQLite has met one in a transaction that writes, even after
    /// a savepoint was rolled back, it refuses all that follows and the commit. So the group begins anew without it.
    Poisoned(QueueError),
    /// The disk or the connection is at fault: the whole group fails.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        let database = QueueError::Database(error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Failure::Poisoned(database),
            // No code: a row has a value that it cannot have.
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) | None => Failure::Refused(database),
            Some(_) => Failure::Broken(error),
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        Failure::Refused(error)
    }
}

/// Why a group failed; every caller gets its own copy as a [`QueueError`].
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No space or no quota is left in this folder.
    Full(String),
    /// Anything else.
    Failed(String),
}

impl Fault {
    /// Sorts an error of the database that lies in `folder`.
    pub(super) fn of(error: &rusqlite::Error, folder: &Path) -> Fault {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Fault::full(folder),
            // SQLite knows ENOSPC on a write only. A used-up quota, or no space for the shared-memory file, is an I/O
            // error to it; so the disk is asked.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full(folder) => Fault::full(folder),
            _ => Fault::Failed(error.to_string()),
        }
    }

    /// No space is left in `folder`.
    pub(super) fn full(folder: &Path) -> Fault {
        Fault::Full(folder.display().to_string())
    }

    /// The error for one caller.
    pub(super) fn error(&self) -> QueueError {
        match self {
            Fault::Full(folder) => QueueError::Full(folder.clone()),
            Fault::Failed(text) => QueueError::Database(text.clone()),
        }
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Fault {
        match error {
            QueueError::Full(folder) => Fault::Full(folder),
            other => Fault::Failed(other.to_string()),
        }
    }
}

/// Returns whether a small file cannot be written into `folder` for want of space.
fn is_full(folder: &Path) -> bool {
    let path = folder.join("space.probe");
    let written = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(NOFOLLOW).open(&path);
    let written = written.and_then(|mut file| file.write_all(&[0; 65536]));
    let _ = fs::remove_file(&path);
    written.is_err_and(|e| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}
