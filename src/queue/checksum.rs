//! CRC-32 (IEEE 802.3, reflected 0xEDB88320), so that a flipped bit on the disk is found before a message is sent.
//!
//! No defence against an attacker, because a user that can write the data folder can write the sum as well. The value is stored,
//! so the polynomial is part of the format and never changes.

static TABLES: [[u32; 256]; 8] = tables();

/// Table `k` is for a byte that `k` more bytes follow, so that eight bytes take one step.
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[k - 1][i];
            tables[k][i] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            i += 1;
        }
        k += 1;
    }
    tables
}

/// A sum over octets that arrive in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The sum of nothing.
    pub(super) fn new() -> Checksum {
        Checksum(!0)
    }

    /// Takes in `data`.
    pub(super) fn add(&mut self, data: &[u8]) {
        let mut crc = self.0;
        let (eights, rest) = data.as_chunks::<8>();
        for eight in eights {
            let low = crc ^ u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]);
            crc = TABLES[7][(low & 0xff) as usize]
                ^ TABLES[6][(low >> 8 & 0xff) as usize]
                ^ TABLES[5][(low >> 16 & 0xff) as usize]
                ^ TABLES[4][(low >> 24) as usize]
                ^ TABLES[3][eight[4] as usize]
                ^ TABLES[2][eight[5] as usize]
                ^ TABLES[1][eight[6] as usize]
                ^ TABLES[0][eight[7] as usize];
        }
        for &byte in rest {
            crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(byte)) & 0xff) as usize];
        }
        self.0 = crc;
    }

    /// The sum of everything so far.
    pub(super) fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        let mut whole = Checksum::new();
        whole.add(b"123456789");
        assert_eq!(whole.value(), 0xcbf4_3926);
        let mut pieces = Checksum::new();
        for piece in [&b"1"[..], b"2345678", b"", b"9"] {
            pieces.add(piece);
        }
        assert_eq!(pieces.value(), whole.value());
        assert_eq!(Checksum::new().value(), 0);
    }
}
