//! A tar archive that is written from front to back.
//!
//! The form is that of POSIX.1-1988 (`ustar`), which every `tar` reads: a block of 512 octets for each file or folder, then its
//! octets, filled up with zeros to a whole block; two blocks of zeros end it. A number that octal digits cannot hold is
//! written in base 256, as GNU tar does. The names are the caller's own, short and plain.

use std::io::{self, Write};

/// The size of a block, in octets.
const BLOCK: usize = 512;
/// The longest name, in octets.
const LONGEST_NAME: usize = 100;

/// What all files of an archive have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The number of the user.
    pub(super) user: u32,
    /// The number of the group.
    pub(super) group: u32,
    /// When the files were changed, in seconds since 1970.
    pub(super) changed: u64,
}

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Archive<W> {
    to: W,
    owner: Owner,
    octets: u64,
}

impl<W: Write> Archive<W> {
    /// An archive without a file.
    pub(super) fn new(to: W, owner: Owner) -> Archive<W> {
        Archive { to, owner, octets: 0 }
    }

    /// Octets so far.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// What it is written into.
    pub(super) fn inner(&self) -> &W {
        &self.to
    }

    /// Adds a folder for its owner only; the name ends with `/`.
    pub(super) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.header(name, b'5', 0o700, 0)
    }

    /// Adds a file for its owner only. Its `len` octets must follow.
    pub(super) fn file(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.header(name, b'0', 0o600, len)
    }

    /// Adds octets of the last file.
    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.octets += octets.len() as u64;
        self.to.write_all(octets)
    }

    /// Ends the last file.
    pub(super) fn end_file(&mut self) -> io::Result<()> {
        let over = (self.octets % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.write(&[0; BLOCK][over..]) }
    }

    /// Ends the archive.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write(&[0; 2 * BLOCK])?;
        self.to.flush()
    }

    fn header(&mut self, name: &str, kind: u8, mode: u64, len: u64) -> io::Result<()> {
        if name.len() > LONGEST_NAME {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name in an archive is too long"));
        }
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        number(&mut block[100..108], mode);
        number(&mut block[108..116], self.owner.user.into());
        number(&mut block[116..124], self.owner.group.into());
        number(&mut block[124..136], len);
        number(&mut block[136..148], self.owner.changed);
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        // The sum counts its own field as spaces.
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&octet| u32::from(octet)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.write(&block)
    }
}

/// Writes a number into a field: octal digits and a zero octet, else base 256 with the highest bit set.
fn number(field: &mut [u8], value: u64) {
    let digits = format!("{value:0width$o}", width = field.len() - 1);
    if digits.len() < field.len() {
        field[..digits.len()].copy_from_slice(digits.as_bytes());
        return;
    }
    for (octet, shift) in field.iter_mut().rev().zip((0..64).step_by(8)) {
        *octet = (value >> shift) as u8;
    }
    field[0] |= 0x80;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_and_large_ones_in_base_256() {
        let written = |value, width| {
            let mut field = vec![0; width];
            number(&mut field, value);
            field
        };
        assert_eq!(written(0o600, 8), b"0000600\0");
        assert_eq!(written(0o7_777_777, 8), b"7777777\0");
        assert_eq!(written(0o10_000_000, 8), [0x80, 0, 0, 0, 0, 0x20, 0, 0]);
        assert_eq!(written((1 << 33) - 1, 12), b"77777777777\0");
        assert_eq!(written(1 << 33, 12), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn an_archive_has_whole_blocks() {
        let mut archive = Archive::new(Vec::new(), Owner { user: 7, group: 8, changed: 1_790_000_000 });
        archive.folder("spool/").unwrap();
        for len in [0, 511, 512, 513] {
            archive.file(&format!("spool/{len}"), len as u64).unwrap();
            archive.write(&vec![1; len]).unwrap();
            archive.end_file().unwrap();
            assert_eq!(archive.octets() % 512, 0, "{len}");
        }
        archive.finish().unwrap();
        assert_eq!(archive.octets(), archive.inner().len() as u64);
        assert_eq!(archive.octets(), 512 * (1 + 4 + 4 + 2));
        assert!(archive.folder(&"x".repeat(101)).is_err());
    }
}
