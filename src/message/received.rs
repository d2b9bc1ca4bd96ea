//! The trace field on top of every message, and the count of older ones (RFC 5321 section 4.4).
//!
//! Other servers' fields are counted, never changed.
//!
//! Invariant: with any name in HELO the field is printable ASCII, has no line over 998 octets, and cannot be closed or
//! commented out from inside.

use std::net::IpAddr;

use crate::mail::Id;
use crate::message::header::{Field, Header};

/// The longest HELO name that is shown, in octets (the limit of a domain, RFC 5321 section 4.5.3.1.2).
const MAX_HELO: usize = 255;

/// The content of the trace field.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// The client's name in HELO, as it came; empty without one.
    pub helo: &'a [u8],
    /// The client's address.
    pub ip: IpAddr,
    /// The name of this host.
    pub host: &'a str,
    /// `SMTP`, `ESMTP`, `ESMTPA`, `ESMTPS` or `ESMTPSA` (RFC 3848).
    pub with: &'a str,
    /// The id of the message.
    pub id: Id,
    /// The time of arrival in the form of RFC 5322 section 3.3.
    pub date: &'a str,
}

/// Builds the field, folded, with its last CRLF.
pub fn field(trace: &Trace<'_>) -> Vec<u8> {
    let ip = match trace.ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    let value = format!(
        "from {} ({ip})\r\n by {} (Yizhan) with {} id {};\r\n {}",
        visible(trace.helo),
        visible(trace.host.as_bytes()),
        visible(trace.with.as_bytes()),
        trace.id,
        trace.date
    );
    let mut out = Field::new("Received", value).raw().to_vec();
    out.extend_from_slice(b"\r\n");
    out
}

/// The number of servers that the message has passed: its Received fields (RFC 5321 section 6.3).
pub fn hops(header: &Header) -> usize {
    header.count("Received")
}

/// The number of those fields that this host wrote: each is one turn of a loop.
///
/// Only the form that [`field`] writes counts; a name inside another comment does not. It still counts when another
/// server has folded it anew or changed its case.
pub fn own(header: &Header, host: &str) -> usize {
    let mark = format!(" by {} (Yizhan) with ", visible(host.as_bytes())).to_ascii_lowercase();
    let fields = header.fields.iter().filter(|field| field.is("Received"));
    fields.filter(|field| single_blanks(&field.unfolded()).to_ascii_lowercase().contains(&mark)).count()
}

/// The words of a field with one blank between two.
fn single_blanks(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first word as printable ASCII; characters that could end the clause, the comment or the field become `?`.
fn visible(name: &[u8]) -> String {
    let word = name.split(|b| b.is_ascii_whitespace()).find(|word| !word.is_empty()).unwrap_or(b"unknown");
    let shown = |&b: &u8| if b.is_ascii_graphic() && !b"()<>\\\";,".contains(&b) { b as char } else { '?' };
    word.iter().take(MAX_HELO).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn trace<'a>(helo: &'a [u8], ip: &str) -> Trace<'a> {
        let id = Id::new(Timestamp::from_millis(0), 0);
        let date = "Sat, 21 Nov 2026 18:00:00 +0800";
        Trace { helo, ip: ip.parse().unwrap(), host: "relay.lan", with: "ESMTP", id, date }
    }

    #[test]
    fn the_field_has_the_form_of_the_standard() {
        let text = String::from_utf8(field(&trace(b"XRX9C93", "192.168.1.5"))).unwrap();
        assert_eq!(
            text,
            "Received: from XRX9C93 ([192.168.1.5])\r\n by relay.lan (Yizhan) with ESMTP id 0000000000000000;\r\n \
             Sat, 21 Nov 2026 18:00:00 +0800\r\n"
        );
        let six = String::from_utf8(field(&trace(b"[::1] x", "::1"))).unwrap();
        assert!(six.starts_with("Received: from [::1] ([IPv6:::1])\r\n"), "{six}");
        assert!(field(&trace(b"a", "::ffff:10.0.0.1")).starts_with(b"Received: from a ([10.0.0.1])"));
    }

    #[test]
    fn a_helo_cannot_write_our_field() {
        for helo in [&b""[..], b"x\x1b[2J", b"x)\r\nBcc: y", b"<script>", b"\xd5\xc5", b"a\\b;c\"d", &[b'x'; 2000]] {
            let out = field(&trace(helo, "10.0.0.1"));
            let lines: Vec<&[u8]> = out.split(|&b| b == b'\n').collect();
            assert!(lines.len() == 4 && out.len() < 500, "{}", out.escape_ascii());
            assert!(out.iter().all(|&b| (0x20..0x7f).contains(&b) || b == b'\r' || b == b'\n'));
            assert_eq!(out.iter().filter(|&&b| b == b'(').count(), 2);
        }
    }

    #[test]
    fn a_061_loops_are_counted_not_guessed() {
        let mut head = field(&trace(b"by relay.lan (Yizhan) with ESMTP", "10.0.0.1"));
        head.extend_from_slice(b"Received: from relay.lan by other (mentions relay.lan); x\r\nSubject: x\r\n");
        let header = Header::parse(&head);
        assert_eq!((hops(&header), own(&header, "Relay.LAN"), own(&header, "other")), (2, 1, 0));
        // Folded anew by somebody else.
        let mut head = String::from_utf8(field(&trace(b"x", "10.0.0.1"))).unwrap();
        head = head.replace("\r\n by relay.lan (Yizhan) with", "\r\n\tby  RELAY.lan\r\n\t(Yizhan)\r\n\twith");
        assert_eq!(own(&Header::parse(head.as_bytes()), "relay.lan"), 1, "{head}");
    }
}
