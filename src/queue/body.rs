//! Bodies: in memory while they are small, a file in the spool folder when they are not.
//!
//! Not here: which message a body belongs to (that is a row of the backend), and what is in it (RFC 5322 is
//! `message`'s). A [`Draft`] takes the octets as they arrive and becomes a [`Stored`]; a [`Stored`] gives them back in
//! pieces.
//!
//! Invariants: a draft holds at most [`INLINE_LIMIT`] and one piece in memory, whatever the size of the message. A
//! finished file is synced, carries its final name, and its folder is synced. Whoever holds a file that no row names
//! removes it when it is dropped. No name of a file ever comes from a peer.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::spawn_blocking;

use super::Error;
use super::checksum::Checksum;
use super::folder::{self, fault};
pub use super::spool::Spool;

mod open;
mod share;

/// Bodies up to this many octets live in the database, longer ones in a file of their own.
///
/// Measured: a file costs two more syncs, a blob is written twice; the two meet between 64 and 256 KiB.
pub const INLINE_LIMIT: usize = 128 * 1024;

/// How much goes to or comes from a file at a time.
const PIECE: usize = 64 * 1024;

/// A body that is arriving. Dropped before [`Draft::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    spool: Arc<Spool>,
    buffer: BytesMut,
    written: Option<Part>,
    len: u64,
    /// A call failed or was cancelled half-way: what the file holds is not known.
    broken: bool,
}

/// The file of a draft. `file` is away while a piece is being written.
#[derive(Debug)]
struct Part {
    file: Option<(File, Checksum)>,
    name: String,
    guard: Remove,
}

/// Removes a file when it is dropped, unless it has been disarmed.
#[derive(Debug)]
struct Remove {
    path: PathBuf,
    armed: bool,
}

impl Drop for Remove {
    fn drop(&mut self) {
        // A file that is not there any more is what we want; one that cannot be removed is swept at the next start.
        if self.armed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Draft {
    /// An empty draft whose file, should it come to that, lies in `spool`.
    pub fn new(spool: Arc<Spool>) -> Draft {
        Draft { spool, buffer: BytesMut::new(), written: None, len: 0, broken: false }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next octets of the body.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Io`]; after an error every later call fails too.
    pub async fn write(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while !data.is_empty() {
            // Until the first piece goes out all of the inline limit is kept, afterwards one piece at a time.
            let room = if self.written.is_some() { PIECE } else { INLINE_LIMIT } - self.buffer.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.buffer.extend_from_slice(now);
            self.len += now.len() as u64;
            data = later;
            let full = self.written.is_some() && self.buffer.len() >= PIECE;
            if full || (!data.is_empty() && self.written.is_none()) {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Makes what was written durable: fdatasync, rename to the final name, fsync of the folder.
    ///
    /// # Errors
    /// As [`Draft::write`]; the file is gone then.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        if self.broken {
            return Err(lost());
        }
        if self.written.is_none() {
            return Ok(Stored::Inline(self.buffer.freeze()));
        }
        self.flush().await?;
        let mut part = self.written.take().expect("flush has made or kept the file");
        let (file, sum) = part.file.take().expect("flush has brought the file back");
        let path = self.spool.path(&part.name).expect("the name is one of our own");
        let (spool, len) = (self.spool.clone(), self.len);
        spawn_blocking(move || seal(file, &part.guard, &path).map(|()| (part, path))).await.map_err(|_| lost())?.map(
            |(mut part, path)| {
                part.guard.armed = false;
                let guard = Remove { path, armed: true };
                Stored::Spooled(SpoolFile { spool, name: part.name, len, sum: sum.value(), guard })
            },
        )
    }

    /// Writes the buffer out, making the file first when there is none.
    async fn flush(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(lost());
        }
        if self.spool.is_full() {
            return Err(Error::Full(self.spool.folder().to_owned()));
        }
        if self.written.is_none() {
            let name = self.spool.fresh_name();
            let path = self.spool.path(&name).expect("the name is one of our own").with_extension("part");
            // The guard stands before the file does, so that a cancelled call cleans up as well.
            self.written = Some(Part { file: None, name, guard: Remove { path, armed: true } });
        }
        let part = self.written.as_mut().expect("made above");
        let (taken, path) = (part.file.take(), part.guard.path.clone());
        let buffer = self.buffer.split().freeze();
        let task = move || -> Result<(File, Checksum), Error> {
            let (mut file, mut sum) = match taken {
                Some(open) => open,
                None => (create(&path)?, Checksum::new()),
            };
            sum.add(&buffer);
            file.write_all(&buffer).map_err(|source| fault("write", &path, source))?;
            Ok((file, sum))
        };
        part.file = Some(spawn_blocking(task).await.map_err(|_| lost())??);
        self.broken = false;
        Ok(())
    }
}

fn lost() -> Error {
    let source = io::Error::other("an earlier write failed or was given up");
    Error::Io { what: "cannot finish a body".to_owned(), source }
}

/// Creates a file that nobody had before, for its owner only, and its folder where it is missing.
fn create(path: &Path) -> Result<File, Error> {
    match open::fresh(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done.map_err(|source| fault("create", path, source)),
    }
    make_folder_of(path)?;
    open::fresh(path).map_err(|source| fault("create", path, source))
}

/// Makes the folder of a spool file where it is missing.
fn make_folder_of(path: &Path) -> Result<(), Error> {
    let parent = path.parent().expect("every spool file has a folder");
    if parent.is_dir() { Ok(()) } else { folder::make(parent) }
}

/// The three steps after which a power cut cannot take the file away.
fn seal(file: File, part: &Remove, path: &Path) -> Result<(), Error> {
    file.sync_data().map_err(|source| fault("sync", &part.path, source))?;
    fs::rename(&part.path, path).map_err(|source| fault("rename", &part.path, source))?;
    folder::sync(path.parent().expect("every spool file has a folder")).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// A body that can be read, as often as one likes.
#[derive(Debug)]
pub enum Stored {
    /// In memory.
    Inline(Bytes),
    /// In a file of its own.
    Spooled(SpoolFile),
}

/// The file of a long body. Until a row names it, it is removed when this is dropped.
#[derive(Debug)]
pub struct SpoolFile {
    spool: Arc<Spool>,
    pub(super) name: String,
    pub(super) len: u64,
    pub(super) sum: u32,
    guard: Remove,
}

impl SpoolFile {
    /// A file that a row already names.
    pub(super) fn kept(spool: Arc<Spool>, name: String, path: PathBuf, len: u64, sum: u32) -> SpoolFile {
        SpoolFile { spool, name, len, sum, guard: Remove { path, armed: false } }
    }

    /// From now on the file belongs to a row.
    pub(super) fn keep(&mut self) {
        self.guard.armed = false;
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.guard.path
    }

    /// A second handle on the file; this one never removes it.
    pub(super) fn again(&self) -> SpoolFile {
        SpoolFile::kept(self.spool.clone(), self.name.clone(), self.guard.path.clone(), self.len, self.sum)
    }

    /// Reads the whole file once and says what is wrong with it, if anything is. Blocks.
    pub(super) fn verify(&self) -> Result<(), String> {
        let read = || -> Result<(), Error> {
            let mut reader = FileReader::open(self)?;
            while reader.read_piece()?.is_some() {}
            Ok(())
        };
        match read() {
            Err(Error::Io { what, source })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
            {
                Err(format!("{what}: {source}"))
            }
            // Too many open files, say: that is no fault of this file, and the next reader will see it too.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl From<Bytes> for Stored {
    fn from(body: Bytes) -> Stored {
        Stored::Inline(body)
    }
}

impl Stored {
    /// Octets of the body.
    pub fn len(&self) -> u64 {
        match self {
            Stored::Inline(body) => body.len() as u64,
            Stored::Spooled(file) => file.len,
        }
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same body once more, for a second message: each of the two owns what it names, and deleting one leaves the
    /// other whole. A long body gets a second name in the spool folder, not a second copy. Blocks for a sync.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Io`]; nothing is left behind then.
    pub fn share(&self) -> Result<Stored, Error> {
        match self {
            Stored::Inline(body) => Ok(Stored::Inline(body.clone())),
            Stored::Spooled(file) => file.share().map(Stored::Spooled),
        }
    }

    /// Reads the body from its beginning.
    pub fn reader(&self) -> BodyReader {
        BodyReader(match self {
            Stored::Inline(body) => Source::Memory(body.clone()),
            Stored::Spooled(file) => Source::Closed(file.again()),
        })
    }
}

/// Gives a body back in pieces of at most 64 KiB.
#[derive(Debug)]
pub struct BodyReader(Source);

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    Closed(SpoolFile),
    Open(FileReader),
    /// At the end, or broken, or a call was cancelled half-way (`true`: only the first is in order).
    Done(bool),
}

impl BodyReader {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, or does not have the length or the checksum it had when it was
    /// stored. `None` is never given for a file that ended early, so half a body cannot pass for a whole one.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let file = match &mut self.0 {
            Source::Memory(rest) => return Ok((!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE)))),
            Source::Done(true) => return Ok(None),
            Source::Done(false) => return Err(lost()),
            Source::Closed(_) | Source::Open(_) => std::mem::replace(&mut self.0, Source::Done(false)),
        };
        let task = move || -> Result<(FileReader, Option<Bytes>), Error> {
            let mut reader = match file {
                Source::Closed(file) => FileReader::open(&file)?,
                Source::Open(reader) => reader,
                Source::Memory(_) | Source::Done(_) => return Err(lost()),
            };
            let piece = reader.read_piece()?;
            Ok((reader, piece))
        };
        let (reader, piece) = spawn_blocking(task).await.map_err(|_| lost())??;
        self.0 = if piece.is_some() { Source::Open(reader) } else { Source::Done(true) };
        Ok(piece)
    }
}

/// Reads a spool file and holds it against what the row says.
#[derive(Debug)]
struct FileReader {
    file: File,
    path: PathBuf,
    left: u64,
    sum: Checksum,
    expected: u32,
}

impl FileReader {
    fn open(spooled: &SpoolFile) -> Result<FileReader, Error> {
        let path = spooled.guard.path.clone();
        let file = open::existing(&path).map_err(|source| fault("open", &path, source))?;
        Ok(FileReader { file, path, left: spooled.len, sum: Checksum::new(), expected: spooled.sum })
    }

    fn read_piece(&mut self) -> Result<Option<Bytes>, Error> {
        let damaged =
            |what: &str, path: &Path| fault("read", path, io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        if self.left == 0 {
            return match self.file.read(&mut [0]).map_err(|source| fault("read", &self.path, source))? {
                0 if self.sum.value() == self.expected => Ok(None),
                0 => Err(damaged("the checksum is wrong", &self.path)),
                _ => Err(damaged("the file is longer than it was", &self.path)),
            };
        }
        let mut piece = vec![0; self.left.min(PIECE as u64) as usize];
        self.file.read_exact(&mut piece).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => damaged("the file is shorter than it was", &self.path),
            _ => fault("read", &self.path, source),
        })?;
        self.sum.add(&piece);
        self.left -= piece.len() as u64;
        Ok(Some(piece.into()))
    }
}
