//! What the relay writes to its owner: a mail that failed, many that failed, an account that cannot send.
//!
//! ```text
//!  failure   one mail that failed        multipart/report (RFC 3464), to the owner or the sender
//!  digest    many that failed            a table by cause, each remedy once
//!  alarm     an account stopped, rests, or works again; as a mail, and as the text that a webhook carries
//!  permit    may this failed mail be told of at all?
//! ```
//!
//! All of them come from one of the owner's own accounts, because providers refuse the null sender, and say with
//! `Auto-Submitted` (RFC 3834 section 5) and `X-Auto-Response-Suppress` that nobody is to answer. What this is not: when
//! something is told, how often, and over which channel (`account::alarm`, `report::digest`), and the way there.
//!
//! Invariants: the same arguments give the same octets; head and body are 7-bit, with CRLF and no line over 998 octets;
//! what a provider or client said stays text, whatever is in it; nothing here has ever seen a secret.

use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;

use crate::language::Language;
use crate::mail::{Address, Id};
use crate::message::encoded_word;
use crate::message::mailbox;

pub mod alarm;
pub mod digest;
mod failure;
mod permit;

pub use failure::{Failure, Notice, build};
pub use permit::{Reader, may_tell};

/// How much of the words of others is shown in one place, in characters.
const MAX_WORDS: usize = 2000;
/// How much of a subject is shown, in characters.
const MAX_SUBJECT: usize = 60;

/// What every mail of ours has: from whom, to whom, when, under which number, in which language.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The account's own address that it leaves by; the seal puts on another one if another account sends it.
    pub from: &'a Address,
    /// Who reads it. Must be qualified.
    pub to: &'a Address,
    /// The id of the mail itself: its Message-ID and boundary.
    pub id: Id,
    /// The right half of its Message-ID.
    pub domain: &'a str,
    /// The name of this host.
    pub host: &'a str,
    /// When it is written, as RFC 5322 section 3.3 has it.
    pub date: &'a str,
    /// What it is written in.
    pub language: Language,
}

/// The fields that tell programs what kind of mail this is.
struct Marks {
    /// RFC 3834 section 5: `auto-replied` for a mail about one other mail, `auto-generated` for any other.
    auto_submitted: &'static str,
    /// Name and value of our own field, by which [`may_tell`] knows it again.
    own: (&'static str, String),
}

/// Puts a mail together: the head (fields with CRLF, no blank line) and the body.
fn assemble(letter: &Letter<'_>, subject: &str, marks: Marks, content: MimePart<'_>) -> (Vec<u8>, Vec<u8>) {
    let from = mailbox::write("Yizhan 驿站", letter.from, "From: ".len());
    let mail = MessageBuilder::new()
        .header("From", Raw::new(unfold(&from)))
        .header("To", Raw::new(letter.to.as_str()))
        .header("Subject", Raw::new(unfold(&subject_value(subject))))
        .header("Date", Raw::new(letter.date))
        .header("Message-ID", Raw::new(format!("<{}@{}>", letter.id, letter.domain)))
        .header("MIME-Version", Raw::new("1.0"))
        .header("Auto-Submitted", Raw::new(marks.auto_submitted))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header(marks.own.0, Raw::new(marks.own.1))
        .body(content);
    let mail = mail.write_to_vec().expect("writing into memory does not fail");
    let blank = mail.windows(4).position(|w| w == b"\r\n\r\n").expect("the builder puts a blank line after the header");
    (mail[..blank + 2].to_vec(), mail[blank + 4..].to_vec())
}

/// The part for people, from text with LF.
fn words(text: &str) -> MimePart<'static> {
    MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), text.replace('\n', "\r\n"))
}

/// A subject as a field value: encoded words unless it is plain ASCII that nobody can take for one (RFC 2047).
fn subject_value(subject: &str) -> String {
    let subject = plain(subject, MAX_WORDS);
    let bare = subject.is_ascii() && subject.len() <= MAX_SUBJECT && !subject.contains("=?");
    if bare { subject } else { encoded_word::encode(&subject, "Subject: ".len()) }
}

/// The builder folds raw values by itself.
fn unfold(text: &str) -> String {
    text.replace("\r\n", "")
}

/// Text of others on one line: no control characters, nothing that hides or turns text round, single blanks, at most
/// `most` characters.
fn plain(text: &str, most: usize) -> String {
    let seen = text.chars().map(encoded_word::no_control).filter(|c| !mailbox::is_invisible(*c));
    // Blanks are joined below: a text of blanks alone must not make this long.
    let line: String = seen.take(most.saturating_mul(4)).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", line[..end].trim_end()),
        None => line,
    }
}

/// Text of others on one line, for whoever shows it: no control characters, at most `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    plain(text, most)
}

/// `1 mail`, `2 mails`.
fn mails(count: u64) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

/// The subject of a stored mail as a person reads it; empty when there is none.
fn subject_of(value: &str, most: usize) -> String {
    plain(&encoded_word::decode(value), most)
}

#[cfg(test)]
mod tests;
