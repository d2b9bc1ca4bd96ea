//! What must hold for every input, as one function a fuzz target. The fuzzer runs them on what it invents, and
//! `tests/message/corpus.rs` runs them on everything the fuzzer found worth keeping.
//!
//! Here: messages, and the dice. Beside it: lines of commands (`command`), data on the wire (`framer`), dialogues with
//! clients (`session`) and servers (`client`), replies and their verdicts (`replies`), settings (`settings`), and how a
//! message goes through the stages (`road`). Invariant: a function returns for every input whatsoever, or what it found is
//! a fault of the relay. Where a choice is to be made (where to cut the input), it is made from a hash of the input, so
//! that every file of a corpus is a plain mail, line or dialogue that a person can read.
#![allow(dead_code, reason = "each fuzz target uses a part of this folder")]

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod framer;
pub(crate) mod replies;
pub(crate) mod road;
pub(crate) mod session;
pub(crate) mod settings;

use road::{LOGIN, address, split, store};
use yizhan::message::{
    FromPolicy, Header, MAX_LINE, SenderRewrite, encoded_word, from_rule, mailbox, rewrite_sender, splitter,
};

/// The longest line with an encoded word, and the longest word (RFC 2047 section 2).
const WORD_LINE: usize = 76;
const WORD: usize = 75;

/// The header block: the same whatever the cuts, made of whole fields, within its limits.
pub(crate) fn header_block(mail: &[u8]) {
    let whole = split(mail, std::iter::empty());
    let mut random = Dice::new(mail);
    for most in [1, 2, 7, 100, 5000] {
        let cut = split(mail, std::iter::from_fn(|| Some(1 + random.below(most))));
        assert_eq!(cut, whole, "cut in pieces of at most {most}");
    }
    let Ok((header, body)) = whole else { return };
    assert_line_ends(&body);
    assert!(header.fields.len() <= splitter::MAX_FIELDS);
    for field in &header.fields {
        let name = field.name();
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'), "{name}");
        assert!(!field.raw().contains(&0) && !field.raw().ends_with(b"\n"));
    }
    let head = header.render();
    assert_line_ends(&head);
    let again = Header::parse(&head);
    assert_eq!(again.fields, header.fields, "what is written is read back");
    assert_eq!(again.render(), head);
    // And so does the splitter, when the mail comes round once more.
    if !head.is_empty() {
        let (second, rest) = split(&[&head, &b"\r\n"[..], &body].concat(), std::iter::empty()).expect("it grew");
        assert_eq!(second.fields, header.fields);
        assert_eq!(rest, body);
    }
}

/// The whole way in and out again: legal, ASCII in the header, one of each, repaired once, taken by the strictest.
pub(crate) fn repair(mail: &[u8]) {
    let Ok(stored) = store(mail, 4096) else {
        assert!(store(mail, 1).is_err(), "refused whatever the cuts");
        return;
    };
    let step = 1 + Dice::new(mail).below(64);
    assert_eq!(store(mail, step).as_ref(), Ok(&stored), "cut in pieces of {step}");
    assert_head(&stored.head);
    assert_lines(&stored.body);
    assert_eq!(Header::parse(&stored.head).render(), stored.head, "every line belongs to a field");
    let once = [&stored.head, &b"\r\n"[..], &stored.body].concat();
    let twice = store(&once, 4096).expect("what was repaired is not refused");
    assert_eq!(twice.repairs, [""; 0], "repaired again:\n{}", once.escape_ascii());
    assert!(twice.head == stored.head && twice.body == stored.body, "repairing again changes nothing");
    let helo = mail.split(|&b| b == b'\n').next().unwrap_or_default();
    let head = [road::trace(&helo[..helo.len().min(255)]), stored.head].concat();
    assert_head(&head);
    assert_seal(&head);
    let (seven, body) = road::downgrade(&head, &stored.body, 4096);
    assert_eq!(road::downgrade(&head, &stored.body, step), (seven.clone(), body.clone()), "cut in pieces of {step}");
    assert_head(&seven);
    assert_lines(&body);
    assert!(body.is_ascii(), "8-bit octets: {}", body.escape_ascii());
    special(mail, step);
}

/// What the settings of a client may not spoil; To and the fields of MIME are none of the least that is repaired.
fn special(mail: &[u8], step: usize) {
    let client = road::special();
    let stored = road::store_for(mail, 4096, &client).expect("it was taken before");
    assert_eq!(road::store_for(mail, step, &client).as_ref(), Ok(&stored), "cut in pieces of {step}");
    assert_sendable(&stored.head);
    assert_lines(&stored.body);
    let twice = road::store_for(&[&stored.head, &b"\r\n"[..], &stored.body].concat(), 4096, &client);
    assert_eq!(twice.expect("what was repaired is not refused").repairs, [""; 0], "{}", stored.head.escape_ascii());
}

/// Encoded words, mailboxes and sender rewriting on a header value that anybody may have written.
pub(crate) fn encoded_word(value: &[u8]) {
    let text = road::text(value);
    for text in [encoded_word::decode(&text), text] {
        let column = Dice::new(value).below(100);
        let written = encoded_word::encode(&text, column);
        assert_words(&written, column);
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // A fold before the first word is not part of the value (RFC 5322 section 3.6.5).
        let unfolded = written.strip_prefix("\r\n ").unwrap_or(&written).replace("\r\n", "");
        assert_eq!(encoded_word::decode(&unfolded), shown, "what is written is read back");
    }
    for mailbox in road::mailboxes(value) {
        let Some(address) = mailbox.address() else { continue };
        let written = mailbox::write(&mailbox.name, &address, "From: ".len());
        assert_lines(format!("From: {written}\r\n").as_bytes());
        assert_eq!(from_rule::accepted_mailbox(written.as_bytes()), Some(address), "{written}");
    }
    for name in ["From", "Reply-To", "Sender", "Disposition-Notification-To", "Subject"] {
        let head = [name.as_bytes(), b": ", value, b"\r\n"].concat();
        for how in rewrites(&address(LOGIN)) {
            let out = rewrite_sender(&head, &how, &[]);
            assert!(from_rule::qq_accepts(&out), "{}", out.escape_ascii());
            assert_eq!(rewrite_sender(&out, &how, &[]), out, "rewriting twice is rewriting once");
        }
    }
}

/// Every way in which an account may rewrite the sender.
fn rewrites(login: &yizhan::mail::Address) -> impl Iterator<Item = SenderRewrite<'_>> {
    [FromPolicy::MustEqualLogin, FromPolicy::MayBeAlias, FromPolicy::RewrittenAnyway, FromPolicy::Free]
        .into_iter()
        .flat_map(move |policy| {
            [None, Some("驿站, \"A\"")].map(|display| SenderRewrite {
                address: login,
                display,
                policy,
                keep_dkim: false,
            })
        })
}

/// Sender rewriting on a repaired head: still legal, and a From that the strictest provider takes.
fn assert_seal(head: &[u8]) {
    let login = address(LOGIN);
    for how in rewrites(&login) {
        let out = rewrite_sender(head, &how, &[]);
        assert_head(&out);
        assert!(from_rule::qq_accepts(&out), "{}", out.escape_ascii());
        assert_eq!(rewrite_sender(&out, &how, &[]), out, "rewriting twice is rewriting once");
        if how.policy == FromPolicy::MustEqualLogin {
            let header = Header::parse(&out);
            let from = header.get("From").and_then(|from| from_rule::accepted_mailbox(from.value()));
            assert_eq!(from.map(|address| address.key()), Some(login.key()));
        }
    }
}

/// Printable ASCII in whole lines, no blank line, and one of each field that there must be one of.
fn assert_head(head: &[u8]) {
    assert_sendable(head);
    let header = Header::parse(head);
    assert_eq!((header.count("To"), header.count("MIME-Version")), (1, 1), "{}", head.escape_ascii());
}

/// What the least of repairs sees to.
fn assert_sendable(head: &[u8]) {
    assert_lines(head);
    let legal = |b: &u8| (0x20..0x7f).contains(b) || b"\t\r\n".contains(b);
    assert!(head.iter().all(legal), "{}", head.escape_ascii());
    assert!(!head.starts_with(b"\r\n") && !head.windows(4).any(|w| w == b"\r\n\r\n"), "{}", head.escape_ascii());
    let header = Header::parse(head);
    for name in ["From", "Date", "Message-ID"] {
        assert_eq!(header.count(name), 1, "{name}: {}", head.escape_ascii());
    }
    assert_eq!(header.count("Bcc"), 0);
}

/// Whole lines of at most 998 octets without NUL (RFC 5322 section 2.1.1).
fn assert_lines(octets: &[u8]) {
    assert_line_ends(octets);
    for line in octets.split(|&b| b == b'\n') {
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        assert!(length <= MAX_LINE && !line.contains(&0), "{length} octets: {}", line.escape_ascii());
    }
}

/// Empty, or lines that all end in CRLF, with no other CR or LF (RFC 5322 section 2.3).
fn assert_line_ends(octets: &[u8]) {
    assert!(octets.is_empty() || octets.ends_with(b"\r\n"));
    let mut before = 0;
    for (at, &octet) in octets.iter().enumerate() {
        let alone = (octet == b'\n') != (before == b'\r');
        assert!(!alone, "octet {at}: {}", octets[at.saturating_sub(40)..=at].escape_ascii());
        before = octet;
    }
}

/// Words of at most 75 octets on lines of at most 76, nothing else.
fn assert_words(written: &str, column: usize) {
    for (number, line) in written.split("\r\n").enumerate() {
        let begin = if number == 0 { column } else { 0 };
        assert!(line.is_empty() || begin + line.len() <= WORD_LINE, "{begin} + {line}");
        let word = if number == 0 { line } else { line.strip_prefix(' ').expect("a fold begins with a blank") };
        let framed = word.starts_with("=?UTF-8?B?") && word.ends_with("?=") && word.len() <= WORD;
        assert!((word.is_empty() && number == 0) || framed, "{word}");
    }
}

/// Numbers that depend on the input alone (FNV-1a, then xorshift).
struct Dice(u64);

impl Dice {
    fn new(input: &[u8]) -> Dice {
        Dice(
            input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
                | 1,
        )
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}
