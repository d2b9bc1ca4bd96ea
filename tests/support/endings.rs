//! Everything that resembles the end of a message (A-001 to A-014), for the tests against smuggling.

#![allow(dead_code, missing_docs, unreachable_pub)]

/// What a client says before its message.
pub const BEFORE: &[u8] = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
/// The begin of the message.
pub const ONE: &[u8] = b"Subject: one\r\n\r\nfirst";
/// What an attacker wants to be read as commands.
pub const INJECTED: &[u8] = b"MAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\nDATA\r\nSubject: two\r\n\r\nsecond\r\n";
/// The real end.
pub const AFTER: &[u8] = b".\r\nQUIT\r\n";

/// What is put in the place of the end, and what of it is content (dots at line starts taken away).
pub const NOT_AN_END: &[(&str, &[u8], &[u8])] = &[
    ("A-002", b"\n.\n", b"\n.\n"),
    ("A-003", b"\n.\r\n", b"\n.\r\n"),
    ("A-004", b"\n.\r", b"\n.\r"),
    ("A-005", b"\r.\r", b"\r.\r"),
    ("A-006", b"\r.\n", b"\r.\n"),
    ("A-007", b"\r.\r\n", b"\r.\r\n"),
    ("A-008", b"\r\n.\n", b"\r\n\n"),
    ("A-009", b"\r\n.\r", b"\r\n\r"),
    ("A-010", b"\r\n\0.\r\n", b"\r\n\0.\r\n"),
    ("A-011", b"\r\n.\0\r\n", b"\r\n\0\r\n"),
    ("A-012a", b"\r\n.\r\r\n", b"\r\n\r\r\n"),
    ("A-012b", b"\r\r\n.\r\r\n", b"\r\r\n\r\r\n"),
    ("A-013 blank", b"\r\n. \r\n", b"\r\n \r\n"),
    ("A-013 tab", b"\r\n.\t\r\n", b"\r\n\t\r\n"),
    ("A-013 two dots", b"\r\n..\r\n", b"\r\n.\r\n"),
    ("A-014 VT FF", b"\x0b.\x0c", b"\x0b.\x0c"),
    ("A-014 U+2028", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\xe2\x80\xa8.\xe2\x80\xa8"),
    ("A-014 NEL", b"\xc2\x85.\xc2\x85", b"\xc2\x85.\xc2\x85"),
    ("A-014 overlong", b"\xc0\x8d\xc0\x8a.\xc0\x8d\xc0\x8a", b"\xc0\x8d\xc0\x8a.\xc0\x8d\xc0\x8a"),
];

/// What really is an end.
pub const AN_END: &[(&str, &[u8], &[u8])] = &[("A-001", b"\r\n.\r\n", b"\r\n"), ("A-012c", b"\r\r\n.\r\n", b"\r\r\n")];

/// Whether there is a CR without LF, or an LF without CR.
pub fn has_bare(octets: &[u8]) -> bool {
    let text = octets.escape_ascii().to_string().replace("\\r\\n", "");
    text.contains("\\r") || text.contains("\\n")
}
