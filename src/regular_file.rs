//! Opens and reads files that the settings name: regular files only, and without waiting for another process.
//!
//! A named pipe without a writer would block its reader for ever, and a device may have no end. Not here: a disk that
//! does not answer (`secret` reads on a thread of its own).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Octets of the largest file that is read; a bundle of all public authorities has a quarter of a megabyte.
const LARGEST: u64 = 4 << 20;

/// Opens a regular file.
///
/// # Errors
/// `InvalidInput` when it is something else; else what the system says.
pub fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK has no effect on a regular file. A pipe is opened at once instead of when it has a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        let text = "it is not a regular file; put one in its place";
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

/// Reads all of a regular file.
///
/// # Errors
/// As [`open`]; `FileTooLarge` for more than 4 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    open(path)?.take(LARGEST + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 MiB"));
    }
    Ok(octets)
}

/// As [`read`], for text in UTF-8.
///
/// # Errors
/// As [`read`]; `InvalidData` when it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = std::env::temp_dir().join(format!("yizhan-regular-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (pipe, file) = (folder.join("pipe"), folder.join("file"));
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for other in [pipe.as_path(), folder.as_path(), Path::new("/dev/zero")] {
            let error = read(other).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{}: {error}", other.display());
        }
        std::fs::write(&file, "text").unwrap();
        assert_eq!(read_text(&file).unwrap(), "text");
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        File::create(&file).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
