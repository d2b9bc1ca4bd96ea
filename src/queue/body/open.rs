//! Opens and makes the files of long bodies, and never through a link: neither the file nor the folder it lies in may be
//! one.
//!
//! Not here: what is read and written, and names (`spool`). The data folder itself may be a link: its owner chose it.
//! Invariant: what is opened is a plain file, and opening never waits for anybody (a named pipe would).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens a finished file.
///
/// # Errors
/// `InvalidData` when something else lies in its place; else what the system says.
pub(super) fn existing(path: &Path) -> io::Result<File> {
    // O_NONBLOCK means nothing for a file, and keeps us from waiting for the other end of a pipe.
    let file = inside(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        Ok(File::from(file))
    } else {
        Err(not_ours("what lies in its place is no file"))
    }
}

/// Makes a file that nobody had before, for its owner only.
///
/// # Errors
/// As [`existing`]; `NotFound` when the folder is missing.
pub(super) fn fresh(path: &Path) -> io::Result<File> {
    // O_EXCL: never somebody else's file.
    inside(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR).map(File::from)
}

fn inside(path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let folder = path.parent().expect("every spool file has a folder");
    let name = path.file_name().expect("every spool file has a name");
    let safe = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | safe, Mode::empty()).map_err(said)?;
    rustix::fs::openat(folder, name, flags | safe, mode).map_err(said)
}

/// O_NOFOLLOW says ELOOP of a link, with O_DIRECTORY also ENOTDIR.
fn said(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => {
            not_ours("a link, or something else, lies in the place of the file or its folder")
        }
        other => other.into(),
    }
}

fn not_ours(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
