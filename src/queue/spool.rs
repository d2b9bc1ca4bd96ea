//! Files for long bodies: made, finished, shared and read back, each so that a power cut cannot spoil it.
//!
//! Invariants: a finished file is synced, has its final name, and its folder is synced. A file that no message owns is
//! removed when its value is dropped. A name comes from the relay, never from a peer; one that is read back is used only if
//! it could have come from here. No link is followed, neither for the file nor for its folder; the data folder
//! itself may be a link, because its owner chose it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::checksum::Checksum;
use super::error::QueueError;
use super::folder::{self, fault};

/// The most octets that are read from or written to a file at a time.
pub(super) const PIECE: usize = 64 * 1024;

/// The folder that holds the files of long bodies: `spool/xx/NAME`, `xx` being the last two characters of the name.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// The next name: a random start, counted up, so that names differ from run to run and spread over the folders.
    next: AtomicU64,
    /// The disk has no room for new mail.
    full: AtomicBool,
}

impl Spool {
    /// The spool in `folder`; `seed` should be random.
    pub fn new(folder: PathBuf, seed: u64) -> Spool {
        Spool { folder, next: AtomicU64::new(seed), full: AtomicBool::new(false) }
    }

    /// Sets whether the disk has no room for new mail.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Returns whether the disk has no room for new mail.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the file called `name`; `None` unless the name could have come from here, so that an edited row leads
    /// nowhere.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let legal = name.len() == 16 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        legal.then(|| self.folder.join(&name[14..]).join(name))
    }

    /// A name that no other body has, with its path.
    fn fresh_name(&self) -> (String, PathBuf) {
        let name = format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.path(&name).expect("a new name is legal");
        (name, path)
    }
}

/// Removes a file when it is dropped, unless it has been disarmed.
#[derive(Debug)]
struct Remove {
    path: PathBuf,
    armed: bool,
}

impl Drop for Remove {
    fn drop(&mut self) {
        // A file that is missing is what is wanted; one that cannot be removed is swept at the next start.
        if self.armed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that is being written. Dropped before [`SpoolWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct SpoolWriter {
    spool: Arc<Spool>,
    name: String,
    path: PathBuf,
    part: Remove,
    /// Made by the first write.
    file: Option<File>,
    len: u64,
    sum: Checksum,
}

impl SpoolWriter {
    /// A writer that has not made its file yet.
    pub(super) fn new(spool: Arc<Spool>) -> SpoolWriter {
        let (name, path) = spool.fresh_name();
        let part = Remove { path: path.with_extension("part"), armed: true };
        SpoolWriter { spool, name, path, part, file: None, len: 0, sum: Checksum::new() }
    }

    /// Appends to the file. Blocks.
    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), QueueError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.part.path)?),
        };
        self.sum.add(octets);
        self.len += octets.len() as u64;
        file.write_all(octets).map_err(|source| fault("write", &self.part.path, source))
    }

    /// Makes the file durable under its final name. Blocks.
    pub(super) fn finish(self) -> Result<SpoolFile, QueueError> {
        let SpoolWriter { spool, name, path, part, file, len, sum } = self;
        let file = file.expect("a file is finished after it was written to");
        finish(&file, part, &path)?;
        Ok(SpoolFile { spool, name, len, sum: sum.value(), guard: Remove { path, armed: true } })
    }
}

/// The file of a long body. Until a message owns it, it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SpoolFile {
    spool: Arc<Spool>,
    pub(super) name: String,
    pub(super) len: u64,
    pub(super) sum: u32,
    guard: Remove,
}

impl SpoolFile {
    /// The file with this name, which a message owns already; `None` when the name is not one of the relay's.
    pub(super) fn owned(spool: &Arc<Spool>, name: String, len: u64, sum: u32) -> Option<SpoolFile> {
        let guard = Remove { path: spool.path(&name)?, armed: false };
        Some(SpoolFile { spool: spool.clone(), name, len, sum, guard })
    }

    /// From now on a message owns the file.
    pub(super) fn keep(&mut self) {
        self.guard.armed = false;
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.guard.path
    }

    /// A second handle on the file; this one never removes it.
    pub(super) fn again(&self) -> SpoolFile {
        let guard = Remove { path: self.guard.path.clone(), armed: false };
        SpoolFile { spool: self.spool.clone(), name: self.name.clone(), len: self.len, sum: self.sum, guard }
    }

    /// Reads the whole file once and returns what is wrong with it. Blocks.
    pub(super) fn verify(&self) -> Result<(), String> {
        let read = || -> Result<(), QueueError> {
            let mut reader = FileReader::open(self)?;
            while reader.read_piece()?.is_some() {}
            Ok(())
        };
        match read() {
            Err(QueueError::Io { what, source })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
            {
                Err(format!("{what}: {source}"))
            }
            // Too many open files, for example, is no fault of this file; the next reader will meet a fault too.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The same octets under a new name, durable. The two names live and die apart. Blocks.
    pub(super) fn share(&self) -> Result<SpoolFile, QueueError> {
        let (name, path) = self.spool.fresh_name();
        make_folder_of(&path)?;
        // A hard link never replaces a file, and never follows a symbolic link.
        match fs::hard_link(self.path(), &path) {
            Ok(()) => {}
            // Not every file system has second names, and none has any number of them.
            Err(error) if has_no_second_names(error.kind()) => self.copy(&path)?,
            Err(source) => return Err(fault("link", &path, source)),
        }
        let guard = Remove { path, armed: true };
        folder::sync(folder_of(&guard.path))?;
        Ok(SpoolFile { spool: self.spool.clone(), name, len: self.len, sum: self.sum, guard })
    }

    /// Copies the file to `path`, which does not exist before all of it is durable.
    fn copy(&self, path: &Path) -> Result<(), QueueError> {
        let part = Remove { path: path.with_extension("part"), armed: true };
        let mut from = open_file(self.path()).map_err(|source| fault("open", self.path(), source))?;
        let mut to = create(&part.path)?;
        io::copy(&mut from, &mut to).map_err(|source| fault("copy", self.path(), source))?;
        finish(&to, part, path)
    }
}

fn has_no_second_names(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks)
}

/// Reads a spool file and compares it with its length and checksum.
#[derive(Debug)]
pub(super) struct FileReader {
    file: File,
    path: PathBuf,
    left: u64,
    sum: Checksum,
    expected: u32,
}

impl FileReader {
    /// Opens the file. Blocks.
    pub(super) fn open(spooled: &SpoolFile) -> Result<FileReader, QueueError> {
        let path = spooled.path().to_owned();
        let file = open_file(&path).map_err(|source| fault("open", &path, source))?;
        Ok(FileReader { file, path, left: spooled.len, sum: Checksum::new(), expected: spooled.sum })
    }

    /// Returns the next piece; `None` at the end, if the file is whole. Blocks.
    pub(super) fn read_piece(&mut self) -> Result<Option<Bytes>, QueueError> {
        let failed = |source| fault("read", &self.path, source);
        let damaged = |what| failed(io::Error::new(io::ErrorKind::InvalidData, what));
        if self.left == 0 {
            return match self.file.read(&mut [0]).map_err(failed)? {
                0 if self.sum.value() == self.expected => Ok(None),
                0 => Err(damaged("the checksum is wrong")),
                _ => Err(damaged("the file is longer than it was")),
            };
        }
        let mut piece = vec![0; self.left.min(PIECE as u64) as usize];
        self.file.read_exact(&mut piece).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => damaged("the file is shorter than it was"),
            _ => failed(source),
        })?;
        self.sum.add(&piece);
        self.left -= piece.len() as u64;
        Ok(Some(piece.into()))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("every spool file has a folder")
}

/// Makes the folder of a spool file where it is missing.
fn make_folder_of(path: &Path) -> Result<(), QueueError> {
    let folder = folder_of(path);
    if folder.is_dir() { Ok(()) } else { folder::make(folder) }
}

/// Makes a new file for its owner only, and its folder where it is missing.
fn create(path: &Path) -> Result<File, QueueError> {
    // O_EXCL: never a file that exists.
    let new = || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        open_inside(path, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    };
    let created = match new() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder_of(path)?;
            new()
        }
        done => done,
    };
    created.map_err(|source| fault("create", path, source))
}

/// Opens a finished file. `InvalidData`: something else lies in its place.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    // O_NONBLOCK has no effect on a file, and opening a named pipe does not wait for its other end.
    let file = open_inside(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        Ok(File::from(file))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "what lies in its place is no file"))
    }
}

fn open_inside(path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    // O_NOFOLLOW fails at a link with ELOOP, together with O_DIRECTORY with ENOTDIR.
    let link = |error| match error {
        Errno::LOOP | Errno::NOTDIR => {
            let what = "a link, or something else, lies in the place of the file or its folder";
            io::Error::new(io::ErrorKind::InvalidData, what)
        }
        other => other.into(),
    };
    let name = path.file_name().expect("every spool file has a name");
    let safe = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder_of(path), OFlags::RDONLY | OFlags::DIRECTORY | safe, Mode::empty());
    rustix::fs::openat(folder.map_err(link)?, name, flags | safe, mode).map_err(link)
}

/// Syncs the file, gives it its final name and syncs the folder: afterwards a power cut cannot take it away.
fn finish(file: &File, mut part: Remove, path: &Path) -> Result<(), QueueError> {
    file.sync_data().map_err(|source| fault("sync", &part.path, source))?;
    fs::rename(&part.path, path).map_err(|source| fault("rename", &part.path, source))?;
    part.armed = false;
    folder::sync(folder_of(path)).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_no_second_names_the_octets_are_copied() {
        let folder = std::env::temp_dir().join(format!("yizhan-share-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut writer = SpoolWriter::new(Arc::new(Spool::new(folder.clone(), 0x17)));
        writer.write(&[7; 300_000]).unwrap();
        let file = writer.finish().unwrap();
        let target = file.spool.path("00000000000000aa").unwrap();
        file.copy(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), vec![7; 300_000]);
        assert!(!target.with_extension("part").exists());
        // What cannot be copied leaves nothing.
        fs::remove_file(file.path()).unwrap();
        let other = file.spool.path("00000000000000bb").unwrap();
        assert!(matches!(file.copy(&other), Err(QueueError::Io { .. })));
        assert!(!other.exists() && !other.with_extension("part").exists());
        assert!(matches!(file.share(), Err(QueueError::Io { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
