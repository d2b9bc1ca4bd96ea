//! The mails of the relay itself: a mail that failed, many that failed, an account that cannot send.
//!
//! ```text
//!  failure   one mail that failed        multipart/report (RFC 3464), to the operator or the sender, if permitted
//!  digest    many that failed            a table by cause, each remedy once
//!  alarm     an account stopped, cools, or works again, or something about the whole relay; as a mail, and as the text of a
//!            webhook
//! ```
//!
//! They come from one of the operator's accounts, because providers refuse the null sender. `Auto-Submitted` (RFC 3834
//! section 5) and `X-Auto-Response-Suppress` ask for no answers. The caller decides when, how often and over which channel.
//!
//! Invariants: the same arguments give the same octets; head and body are 7-bit, with CRLF and no line over 998 octets; the
//! words of a provider or client stay text; no secret reaches this module.

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
pub mod relay_event;

pub use failure::{Failure, Notice, Reader, build, may_tell};

/// How much of the words of others is shown in one place, in characters.
const MAX_WORDS: usize = 2000;
/// How much of a subject is shown, in characters.
const MAX_SUBJECT: usize = 60;

/// The part that every mail of the relay has: sender, recipient, date, id, language.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The address of the account that sends it; sender rewriting replaces it if another account does.
    pub from: &'a Address,
    /// The reader. Must be qualified.
    pub to: &'a Address,
    /// The id of the mail itself: its Message-ID and boundary.
    pub id: Id,
    /// The right half of its Message-ID.
    pub domain: &'a str,
    /// The name of this host.
    pub host: &'a str,
    /// The date, in the form of RFC 5322 section 3.3.
    pub date: &'a str,
    /// The language of the text.
    pub language: Language,
}

/// The field of a mail about several others; its value is the kind of mail. [`may_tell`] recognises it.
const NOTICE: &str = "X-Yizhan-Notice";
/// The field of a mail about one other; its value is the id. [`may_tell`] recognises it.
const NOTICE_FOR: &str = "X-Yizhan-Notice-For";

/// Builds a mail with the relay's `own` field: the head (fields with CRLF, no blank line) and the body.
fn assemble(
    letter: &Letter<'_>,
    subject: &str,
    own: (&'static str, String),
    content: MimePart<'_>,
) -> (Vec<u8>, Vec<u8>) {
    // RFC 3834 section 5.
    let auto_submitted = if own.0 == NOTICE_FOR { "auto-replied" } else { "auto-generated" };
    let from = mailbox::write("Yizhan 驿站", letter.from, "From: ".len());
    let mail = MessageBuilder::new()
        .header("From", Raw::new(unfold(&from)))
        .header("To", Raw::new(letter.to.as_str()))
        .header("Subject", Raw::new(unfold(&subject_value(subject))))
        .header("Date", Raw::new(letter.date))
        .header("Message-ID", Raw::new(format!("<{}@{}>", letter.id, letter.domain)))
        .header("MIME-Version", Raw::new("1.0"))
        .header("Auto-Submitted", Raw::new(auto_submitted))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header(own.0, Raw::new(own.1))
        .body(content);
    let mail = mail.write_to_vec().expect("writing into memory does not fail");
    let blank = mail.windows(4).position(|w| w == b"\r\n\r\n").expect("the builder puts a blank line after the header");
    (mail[..blank + 2].to_vec(), mail[blank + 4..].to_vec())
}

/// The part for people, from text with LF.
fn words(text: &str) -> MimePart<'static> {
    MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), text.replace('\n', "\r\n"))
}

/// A subject as a field value: encoded words unless it is plain ASCII without `=?` (RFC 2047).
fn subject_value(subject: &str) -> String {
    let subject = one_line(subject, MAX_WORDS);
    let bare = subject.is_ascii() && subject.len() <= MAX_SUBJECT && !subject.contains("=?");
    if bare { subject } else { encoded_word::encode(&subject, "Subject: ".len()) }
}

/// The builder folds raw values by itself.
fn unfold(text: &str) -> String {
    text.replace("\r\n", "")
}

/// Text of others on one line: no control characters, nothing that hides or reverses text, single blanks, at most `most`
/// characters.
pub fn one_line(text: &str, most: usize) -> String {
    let line = mailbox::visible_line(text, most);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", line[..end].trim_end()),
        None => line,
    }
}

/// `1 mail`, `2 mails`.
fn mails(count: u64) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

/// The subject of a stored mail as a person reads it; empty when there is none.
fn subject_of(value: &str, most: usize) -> String {
    one_line(&encoded_word::decode(value), most)
}

#[cfg(test)]
mod tests;
