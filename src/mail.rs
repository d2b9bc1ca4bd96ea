//! The words every layer shares: message ids, envelope addresses and the envelope itself.
//!
//! Values only: nothing here reads a clock, a socket or a file. What is *not* here: how an address is dug out of an
//! SMTP command (that is `smtp::command`), and header addresses (RFC 5322, that is `message`).
//!
//! Invariant: an [`Address`] never holds an octet below 0x20, 0x7f, or one that is not ASCII, so it can be put into a
//! command line as it stands (RFC 5321 section 4.1.2).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;

mod client_key;

pub use client_key::{ClientKey, network_of};

/// Names one message for its whole life: 16 characters of `[0-9a-z]` that sort by time of arrival, within a process also
/// those of one millisecond.
///
/// Nine characters are milliseconds since 1970 in base 36 (enough until the year 5188), seven tell messages of the
/// same millisecond apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const TAIL: u64 = 36u64.pow(7);
/// From one tail to the next. Small, so that the ids of one millisecond come in their order, but for once in 1.6 million;
/// two digits of it change, so that people can tell neighbours apart; no factor in common with 36, so that every tail
/// comes before one comes again.
const STEP: u64 = 36u64.pow(3) + 1;

impl Id {
    /// Builds the id of a message that arrived at `now`; `salt` tells it from others of the same millisecond.
    pub fn new(now: Timestamp, salt: u64) -> Id {
        let mut id = [b'0'; 16];
        write_base36(&mut id[..9], now.millis().max(0) as u64);
        write_base36(&mut id[9..], salt % TAIL);
        Id(id)
    }

    /// Reads an id; `None` unless `text` is exactly 16 characters of `[0-9a-z]`.
    pub fn parse(text: &str) -> Option<Id> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()).then_some(Id(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is made of ASCII digits and letters only")
    }
}

fn write_base36(out: &mut [u8], mut value: u64) {
    for place in out.iter_mut().rev() {
        *place = DIGITS[(value % 36) as usize];
        value /= 36;
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hands out ids that are unique in this process and, but for a chance of one in 78 thousand million per millisecond,
/// beside other processes.
#[derive(Debug)]
pub struct IdSource(AtomicU64);

impl IdSource {
    /// A source that starts at `seed`; give every process its own random one.
    pub fn new(seed: u64) -> IdSource {
        IdSource(AtomicU64::new(seed % TAIL))
    }

    /// The next id, for a message that arrived at `now`.
    pub fn next(&self, now: Timestamp) -> Id {
        Id::new(now, self.0.fetch_add(STEP, Ordering::Relaxed))
    }
}

/// An envelope address that may go into an SMTP command as it stands.
///
/// The local part keeps the form it came in, quotes included (`"a b"@example.com`), because unquoting would send the
/// mail to somebody else. The domain has lost a trailing dot. An address without a domain (`printer`, `postmaster`)
/// is legal here and has an empty [`Address::domain`]; who needs a domain must ask.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

/// Why a text is not an envelope address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing between the brackets.
    #[error("the address is empty")]
    Empty,
    /// Longer than 64 octets before or 255 after the at sign (RFC 5321 section 4.5.3.1).
    #[error("the address is too long")]
    TooLong,
    /// An octet that is not ASCII (RFC 6531 mail, which no provider here takes).
    #[error("the address has characters that are not ASCII")]
    NotAscii,
    /// A control character, a blank outside quotes, two at signs, an empty label and the like.
    #[error("the address is not a legal mailbox")]
    Syntax,
}

impl Address {
    /// Reads `local@domain`, `"quoted local"@domain`, `local@[literal]` or a bare `local`.
    ///
    /// # Errors
    /// [`AddressError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if !text.is_ascii() {
            return Err(AddressError::NotAscii);
        }
        let split = local_end(text.as_bytes())?;
        let (local, domain) = text.split_at(split);
        let domain = domain.strip_prefix('@').map(|d| d.strip_suffix('.').unwrap_or(d));
        if local.is_empty() {
            return Err(AddressError::Syntax);
        }
        if local.len() > 64 || domain.is_some_and(|d| d.len() > 255) {
            return Err(AddressError::TooLong);
        }
        match domain {
            None => Ok(Address { text: local.to_owned(), at: local.len() }),
            Some(domain) if legal_domain(domain) => Ok(Address { text: format!("{local}@{domain}"), at: local.len() }),
            Some(_) => Err(AddressError::Syntax),
        }
    }

    /// The whole address, as it goes between `<` and `>`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the at sign, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the at sign; empty when there is none.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or("")
    }

    /// Whether there is a domain, so that the address means something outside this host.
    pub fn is_qualified(&self) -> bool {
        self.at < self.text.len()
    }

    /// The form in which two spellings of one mailbox are equal: lower case, needless quotes and backslashes gone.
    ///
    /// Only for comparing; the local part of what is sent is never changed (RFC 5321 section 2.4). That section lets a
    /// server tell `Bob` from `bob` and warns against making use of it; no provider does, and two people who differ in
    /// nothing else are not found in one envelope. A quoted string and its plain form are one mailbox (section 4.1.2).
    pub fn key(&self) -> String {
        let local = self.local();
        let quoted = local.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
        let local = quoted.map_or_else(|| local.to_owned(), plainest);
        format!("{local}@{}", self.domain()).to_ascii_lowercase()
    }
}

/// What is inside of quotes, in its plainest form: without quotes where it can be, else with the backslashes it needs.
fn plainest(quoted: &str) -> String {
    let mut octets = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(octet) = octets.next() {
        // The parser has seen to it that something follows a backslash.
        text.extend(if octet == '\\' { octets.next() } else { Some(octet) });
    }
    if !text.is_empty() && text.bytes().all(is_atom_octet) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

/// Where the local part ends: the length of the text, or the index of its one unquoted at sign.
fn local_end(text: &[u8]) -> Result<usize, AddressError> {
    if text[0] == b'"' {
        let mut escaped = false;
        for (i, &octet) in text.iter().enumerate().skip(1) {
            match octet {
                _ if !(0x20..0x7f).contains(&octet) => return Err(AddressError::Syntax),
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' if i + 1 == text.len() || text[i + 1] == b'@' => return Ok(i + 1),
                b'"' => return Err(AddressError::Syntax),
                _ => {}
            }
        }
        return Err(AddressError::Syntax);
    }
    let end = text.iter().position(|&b| b == b'@').unwrap_or(text.len());
    text[..end].iter().all(|&b| is_atom_octet(b)).then_some(end).ok_or(AddressError::Syntax)
}

/// `atext` of RFC 5322 section 3.2.3, and the dot. Doubled dots are let through: real mailboxes have them.
fn is_atom_octet(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b)
}

fn legal_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[') {
        let inner = literal.strip_suffix(']').unwrap_or("");
        // What an address has (RFC 5321 section 4.1.3); its general form, with quotes and more, nobody has registered.
        return !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b":.-".contains(&b));
    }
    // The underscore is illegal and common (Q-042).
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Who sent the message, as the envelope says it (RFC 5321 section 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: no bounce is wanted.
    Null,
    /// A mailbox, possibly without a domain.
    Address(Address),
}

impl ReversePath {
    /// Reads what [`ReversePath`] displays: the empty text is the null sender.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse(text: &str) -> Result<ReversePath, AddressError> {
        if text.is_empty() { Ok(ReversePath::Null) } else { Address::parse(text).map(ReversePath::Address) }
    }

    /// The mailbox, unless it is the null sender.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

/// How urgent a message is: who goes first when a budget does not suffice for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// First, and with a reserve of each budget for itself.
    Alarm,
    /// What is not said to be anything else.
    #[default]
    Normal,
    /// Waits first.
    Bulk,
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Lane; 3] = [Lane::Alarm, Lane::Normal, Lane::Bulk];

    /// The word in settings, lists and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Alarm => "alarm",
            Lane::Normal => "normal",
            Lane::Bulk => "bulk",
        }
    }

    /// The lane that has this name.
    pub fn parse(name: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_names() {
        assert!(Lane::ALL.into_iter().all(|lane| Lane::parse(lane.name()) == Some(lane)));
        assert_eq!((Lane::parse("Alarm"), Lane::default()), (None, Lane::Normal));
    }

    #[test]
    fn ids_sort_by_time_and_survive_a_round_trip() {
        let source = IdSource::new(7);
        let early = source.next(Timestamp::from_millis(1_790_000_000_000));
        let late = source.next(Timestamp::from_millis(1_790_000_000_001));
        assert!(early < late);
        assert_eq!(Id::parse(early.as_str()), Some(early));
        for bad in ["", "abc", "ABCDEFGHIJKLMNOP", "../../etc/passwd", "0123456789abcde\n", "0123456789abcdef0"] {
            assert_eq!(Id::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_of_one_millisecond_differ_and_keep_their_order() {
        let (source, now) = (IdSource::new(0), Timestamp::from_millis(1));
        let seen: Vec<Id> = (0..100_000).map(|_| source.next(now)).collect();
        assert!(seen.is_sorted_by(|one, next| one < next));
        // Behind the last tail the first comes again, and none twice.
        assert!(!STEP.is_multiple_of(2) && !STEP.is_multiple_of(3));
        let source = IdSource::new(TAIL - 1);
        assert!(source.next(now) > source.next(now));
    }

    #[test]
    fn addresses_keep_their_form() {
        for (text, local, domain) in [
            ("a@b.com", "a", "b.com"),
            ("a@b.com.", "a", "b.com"),
            ("\"a b\"@c.d", "\"a b\"", "c.d"),
            ("\"x@y.z\"@c.d", "\"x@y.z\"", "c.d"),
            ("\"a\\\"b\"@c.d", "\"a\\\"b\"", "c.d"),
            ("printer", "printer", ""),
            ("a@[IPv6:::1]", "a", "[IPv6:::1]"),
            ("a_b%c!d@my_host", "a_b%c!d", "my_host"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.local(), address.domain()), (local, domain), "{text}");
        }
    }

    #[test]
    fn bad_addresses_are_named() {
        use AddressError::*;
        for (text, error) in [
            ("", Empty),
            ("@", Syntax),
            ("a@", Syntax),
            ("a@b@c", Syntax),
            ("a b@c", Syntax),
            ("a\r\nRCPT TO:<evil@x>@b", Syntax),
            ("\"a\rb\"@c", Syntax),
            ("\"a\\\nb\"@c", Syntax),
            ("\"a\x7fb\"@c", Syntax),
            ("\"ab@c", Syntax),
            ("\"a\"b@c", Syntax),
            ("a@b..c", Syntax),
            ("a@[]", Syntax),
            ("a@[I\"v6:::1]", Syntax),
            ("用户@例子.广告", NotAscii),
            ("a@\u{10d}", NotAscii),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Address::parse(&format!("{}@b", "a".repeat(65))), Err(TooLong));
        assert_eq!(Address::parse(&format!("a@{}", "b.".repeat(200))), Err(TooLong));
    }

    #[test]
    fn a_057_one_mailbox_has_one_key() {
        let key = |text: &str| Address::parse(text).unwrap().key();
        assert_eq!(key("Bob@Example.COM"), key("\"bob\"@example.com"));
        assert_ne!(key("\"b ob\"@example.com"), key("bob@example.com"));
        assert_eq!(key(r#""b\o\b"@example.com."#), key("bob@EXAMPLE.com"));
        assert_eq!(key(r#""b\ \ob"@example.com"#), key(r#""B oB"@example.com"#));
        assert_eq!(key(r#""b\"\\"@example.com"#), r#""b\"\\"@example.com"#);
        assert_ne!(key(r#""a\@b.c"@example.com"#), key("a@b.c"));
        assert_eq!((key(r#"""@b.c"#), key(r#""\"\""@b.c"#)), (r#"""@b.c"#.to_owned(), r#""\"\""@b.c"#.to_owned()));
    }
}
