//! HMAC-SHA256 (RFC 2104), with the hash of the TLS library that is built in (aws-lc or ring).
//!
//! For short messages such as the signature of a robot's call. Not here: comparing a code that came from outside, which
//! needs constant time.

use super::tls::primitives::hasher;

/// Octets of a code.
pub const LENGTH: usize = 32;
/// Octets of a block of SHA-256 (RFC 2104 section 2: B).
const BLOCK: usize = 64;

/// The code of `message` under `key`, of any length.
pub fn sha256(key: &[u8], message: &[u8]) -> [u8; LENGTH] {
    let hash = hasher();
    let digest = |parts: [&[u8]; 2]| -> [u8; LENGTH] {
        let mut context = hash.start();
        parts.into_iter().for_each(|part| context.update(part));
        context.finish().as_ref().try_into().expect("SHA-256 has 32 octets")
    };
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..LENGTH].copy_from_slice(&digest([key, &[]]));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = digest([&block.map(|octet| octet ^ 0x36), message]);
    digest([&block.map(|octet| octet ^ 0x5c), &inner])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn the_vectors_of_rfc_4231_come_out() {
        for (key, message, code) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&sha256(key, message)), code);
        }
    }
}
