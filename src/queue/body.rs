//! Bodies: a [`BodyDraft`] takes the octets as they arrive and becomes a [`StoredBody`], which returns them in pieces.
//!
//! Not here: which message owns a body (a row of the backend), and how files are written (`spool`). Invariant: a draft
//! holds at most [`INLINE_LIMIT`] and one piece in memory, whatever the size of the message.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::spawn_blocking;

use super::error::QueueError;
use super::spool::{FileReader, PIECE, Spool, SpoolFile, SpoolWriter};

/// A body of at most this many octets is kept in memory and stored in one piece with its message.
///
/// Measured: a file costs two more syncs, a blob is written twice; the two meet between 64 and 256 KiB.
pub const INLINE_LIMIT: usize = 128 * 1024;

/// A body that is arriving. Dropped before [`BodyDraft::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BodyDraft {
    spool: Arc<Spool>,
    buffer: BytesMut,
    /// Away while a piece is being written; `None` while everything is in the buffer.
    writer: Option<SpoolWriter>,
    len: u64,
    /// A call failed or was cancelled half-way: what the writer holds is not known.
    broken: bool,
}

impl BodyDraft {
    /// An empty draft that keeps what is too long for the memory in `spool`.
    pub fn new(spool: Arc<Spool>) -> BodyDraft {
        BodyDraft { spool, buffer: BytesMut::new(), writer: None, len: 0, broken: false }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next octets of the body.
    ///
    /// # Errors
    /// [`QueueError::Full`] and [`QueueError::Io`]; after an error every later call fails too.
    pub async fn write(&mut self, mut data: &[u8]) -> Result<(), QueueError> {
        while !data.is_empty() {
            // Until the first piece is written the buffer takes all of the inline limit, afterwards one piece.
            let room = if self.writer.is_some() { PIECE } else { INLINE_LIMIT } - self.buffer.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.buffer.extend_from_slice(now);
            self.len += now.len() as u64;
            data = later;
            let full = self.writer.is_some() && self.buffer.len() >= PIECE;
            if full || (!data.is_empty() && self.writer.is_none()) {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Makes what was written durable, or keeps it in memory when it is short.
    ///
    /// # Errors
    /// As [`BodyDraft::write`]; nothing is left behind then.
    pub async fn finish(mut self) -> Result<StoredBody, QueueError> {
        if self.broken {
            return Err(lost());
        }
        if self.writer.is_none() {
            return Ok(StoredBody(Content::Memory(self.buffer.freeze())));
        }
        self.flush().await?;
        let writer = self.writer.take().expect("flush has brought the writer back");
        spawn_blocking(|| writer.finish()).await.map_err(|_| lost())?.map(StoredBody::in_file)
    }

    /// Writes the buffer out.
    async fn flush(&mut self) -> Result<(), QueueError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(lost());
        }
        if self.spool.is_full() {
            return Err(QueueError::Full(self.spool.folder().display().to_string()));
        }
        let mut writer = self.writer.take().unwrap_or_else(|| SpoolWriter::new(self.spool.clone()));
        let octets = self.buffer.split().freeze();
        let task = move || writer.write(&octets).map(|()| writer);
        self.writer = Some(spawn_blocking(task).await.map_err(|_| lost())??);
        self.broken = false;
        Ok(())
    }
}

fn lost() -> QueueError {
    let source = io::Error::other("an earlier write failed or was given up");
    QueueError::Io { what: "cannot finish a body".to_owned(), source }
}

/// A body that can be read any number of times.
#[derive(Debug)]
pub struct StoredBody(Content);

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    /// Until a message owns the file, it is removed when this is dropped.
    File(SpoolFile),
}

impl From<Bytes> for StoredBody {
    fn from(body: Bytes) -> StoredBody {
        StoredBody(Content::Memory(body))
    }
}

impl StoredBody {
    pub(super) fn in_file(file: SpoolFile) -> StoredBody {
        StoredBody(Content::File(file))
    }

    /// The octets, if they are in memory.
    pub(super) fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Memory(body) => Some(body),
            Content::File(_) => None,
        }
    }

    /// The file of a long body.
    pub(super) fn spool_file(&self) -> Option<&SpoolFile> {
        match &self.0 {
            Content::Memory(_) => None,
            Content::File(file) => Some(file),
        }
    }

    /// From now on a message owns the body.
    pub(super) fn keep(&mut self) {
        if let Content::File(file) = &mut self.0 {
            file.keep();
        }
    }

    /// The file that holds the body; `None` when it is in memory.
    pub fn file(&self) -> Option<&Path> {
        self.spool_file().map(SpoolFile::path)
    }

    /// Octets of the body.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Content::Memory(body) => body.len() as u64,
            Content::File(file) => file.len,
        }
    }

    /// Returns whether the body has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the same body for a second message. Each of the two owns its own: deleting one leaves the other whole. A long
    /// body is not copied where the file system allows a second name. Blocks for a sync.
    ///
    /// # Errors
    /// [`QueueError::Full`] and [`QueueError::Io`]; nothing is left behind then.
    pub fn share(&self) -> Result<StoredBody, QueueError> {
        Ok(StoredBody(match &self.0 {
            Content::Memory(body) => Content::Memory(body.clone()),
            Content::File(file) => Content::File(file.share()?),
        }))
    }

    /// Returns a reader at the beginning of the body.
    pub fn reader(&self) -> BodyReader {
        BodyReader(match &self.0 {
            Content::Memory(body) => Source::Memory(body.clone()),
            Content::File(file) => Source::Closed(file.again()),
        })
    }
}

/// Returns a body in pieces of at most 64 KiB.
#[derive(Debug)]
pub struct BodyReader(Source);

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    Closed(SpoolFile),
    Open(FileReader),
    End,
    /// A call failed or was cancelled half-way.
    Broken,
}

impl BodyReader {
    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// [`QueueError::Io`] when the body cannot be read, or does not have the length or the checksum it had when it was
    /// stored. A body that ends early is an error, never `None`, so that half of it cannot pass for the whole.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, QueueError> {
        let source = match &mut self.0 {
            Source::Memory(rest) => return Ok((!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE)))),
            Source::End => return Ok(None),
            Source::Closed(_) | Source::Open(_) | Source::Broken => std::mem::replace(&mut self.0, Source::Broken),
        };
        let task = move || -> Result<(FileReader, Option<Bytes>), QueueError> {
            let mut reader = match source {
                Source::Closed(file) => FileReader::open(&file)?,
                Source::Open(reader) => reader,
                Source::Memory(_) | Source::End | Source::Broken => return Err(lost()),
            };
            let piece = reader.read_piece()?;
            Ok((reader, piece))
        };
        let (reader, piece) = spawn_blocking(task).await.map_err(|_| lost())??;
        self.0 = if piece.is_some() { Source::Open(reader) } else { Source::End };
        Ok(piece)
    }
}
