//! The failure notice: the mail that tells the owner, in plain words, what could not be delivered and why.
//!
//! Its shape is that of RFC 3464 (multipart/report: words for a person, fields for a program, the old header), so that
//! mail programs show it as a bounce. It comes from the owner's own account, because providers refuse the null sender,
//! and is marked `Auto-Submitted` (RFC 3834), so that nothing answers it. What this is not: the decision whether a notice
//! may be sent at all; a failed notice never makes another one (A-062).
//!
//! Invariants: the same arguments give the same octets; head and body are 7-bit, with CRLF and no line over 998 octets;
//! what a provider or client said stays text, whatever is in it.

use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;

use crate::mail::{Address, Id};
use crate::message::encoded_word;
use crate::message::header::{Field, Header};
use crate::message::mailbox;

/// How much of the old header is shown, in octets.
const MAX_ORIGINAL: usize = 64 * 1024;
/// How much of a provider's reply is shown, in characters.
const MAX_REPLY: usize = 2000;

/// One recipient who does not get the mail.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Whom it was for.
    pub recipient: &'a Address,
    /// The enhanced status code, `5.1.1` (RFC 3463).
    pub status: &'a str,
    /// The provider's own words, reply code first; empty when it never answered.
    pub reply: &'a str,
    /// What the owner can do about it, in English and in Chinese, if anybody knows.
    pub remedy: Option<(&'a str, &'a str)>,
}

/// What a notice tells.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The owner: the account's address, both From and To. Must be qualified.
    pub owner: &'a Address,
    /// The id of the notice itself: its Message-ID and boundary.
    pub id: Id,
    /// The right half of its Message-ID.
    pub domain: &'a str,
    /// The name of this host.
    pub host: &'a str,
    /// When the notice is written, as RFC 5322 section 3.3 has it.
    pub date: &'a str,
    /// The message that failed.
    pub failed: Id,
    /// When that came in, in the same form.
    pub arrived: &'a str,
    /// Its stored header block.
    pub original: &'a [u8],
    /// The recipients it failed for; at least one.
    pub failures: &'a [Failure<'a>],
}

/// Builds a notice: the head (fields with CRLF, no blank line) and the body.
pub fn build(notice: &Notice<'_>) -> (Vec<u8>, Vec<u8>) {
    let report = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", format!("=_yizhan_{}", notice.id));
    let parts = vec![
        MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), words(notice)),
        seven_bit("message/delivery-status", status(notice)),
        seven_bit("text/rfc822-headers", original(notice.original)),
    ];
    let subject = encoded_word::encode("Mail not delivered 邮件未能送达", "Subject: ".len());
    let from = mailbox::write("Yizhan 驿站", notice.owner, "From: ".len());
    let mail = MessageBuilder::new()
        .header("From", Raw::new(unfold(&from)))
        .header("To", Raw::new(notice.owner.as_str()))
        .header("Subject", Raw::new(unfold(&subject)))
        .header("Date", Raw::new(notice.date))
        .header("Message-ID", Raw::new(format!("<{}@{}>", notice.id, notice.domain)))
        .header("MIME-Version", Raw::new("1.0"))
        .header("Auto-Submitted", Raw::new("auto-replied"))
        .header("X-Yizhan-Notice-For", Raw::new(notice.failed.to_string()))
        .body(MimePart::new(report, parts));
    let mail = mail.write_to_vec().expect("writing into memory does not fail");
    let blank = mail.windows(4).position(|w| w == b"\r\n\r\n").expect("the builder puts a blank line after the header");
    (mail[..blank + 2].to_vec(), mail[blank + 4..].to_vec())
}

fn unfold(text: &str) -> String {
    text.replace("\r\n", "")
}

/// A part that is 7-bit already and may not be encoded (RFC 3464 section 2.1, RFC 6522 section 4).
fn seven_bit(media: &'static str, text: String) -> MimePart<'static> {
    MimePart::new(ContentType::new(media), text.into_bytes()).transfer_encoding("7bit")
}

/// The part for people: English, then Chinese, each with what failed, for whom, why, and what to do.
fn words(notice: &Notice<'_>) -> String {
    let header = Header::parse(notice.original);
    let subject = header.text("Subject").map(|text| plain(&encoded_word::decode(&text))).unwrap_or_default();
    let mut out = String::new();
    out.push_str("Yizhan could not deliver a mail, and will not try again.\r\n\r\n");
    out.push_str(&format!("Subject: {subject}\r\nReceived: {}\r\nNumber: {}\r\n", notice.arrived, notice.failed));
    for failure in notice.failures {
        out.push_str(&format!("\r\nRecipient: {}\r\n", failure.recipient));
        match plain(failure.reply).as_str() {
            "" => out.push_str("The mail provider gave no answer.\r\n"),
            reply => out.push_str(&format!("The mail provider said: {reply}\r\n")),
        }
        if let Some((remedy, _)) = failure.remedy {
            out.push_str(&format!("What to do: {}\r\n", plain(remedy)));
        }
    }
    out.push_str("\r\n--------\r\n\r\n驿站未能送达一封邮件，不会再重试。\r\n\r\n");
    out.push_str(&format!("主题：{subject}\r\n收到时间：{}\r\n编号：{}\r\n", notice.arrived, notice.failed));
    for failure in notice.failures {
        out.push_str(&format!("\r\n收件人：{}\r\n", failure.recipient));
        match plain(failure.reply).as_str() {
            "" => out.push_str("邮件服务商没有答复。\r\n"),
            reply => out.push_str(&format!("邮件服务商答复：{reply}\r\n")),
        }
        if let Some((_, remedy)) = failure.remedy {
            out.push_str(&format!("处理办法：{}\r\n", plain(remedy)));
        }
    }
    out
}

/// The part for programs (RFC 3464 section 2): a block for the message, and one for each recipient.
fn status(notice: &Notice<'_>) -> String {
    let mut out = String::new();
    line(&mut out, "Reporting-MTA", &format!("dns; {}", plain(notice.host)));
    line(&mut out, "Arrival-Date", notice.arrived);
    for failure in notice.failures {
        out.push_str("\r\n");
        line(&mut out, "Final-Recipient", &format!("rfc822; {}", failure.recipient));
        line(&mut out, "Action", "failed");
        line(&mut out, "Status", failure.status);
        let reply = plain(failure.reply);
        if !reply.is_empty() {
            line(&mut out, "Diagnostic-Code", &format!("smtp; {reply}"));
        }
    }
    out
}

/// One field of the status part, on short lines; what is not ASCII becomes encoded words (RFC 3464 section 2.1.3).
fn line(out: &mut String, name: &str, value: &str) {
    let value = if value.is_ascii() {
        fold(&plain(value), name.len() + 2)
    } else {
        let (kind, text) = value.split_once("; ").unwrap_or(("", value));
        let kind = if kind.is_empty() { String::new() } else { format!("{kind}; ") };
        let column = name.len() + 2 + kind.len();
        format!("{kind}{}", encoded_word::encode(&plain(text), column))
    };
    out.push_str(std::str::from_utf8(Field::new(name, value).raw()).unwrap_or(name));
    out.push_str("\r\n");
}

/// Folds plain text at blanks, at 76 octets; a word that is longer is cut.
fn fold(text: &str, column: usize) -> String {
    let (mut out, mut column) = (String::new(), column);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        for piece in word.as_bytes().chunks(500) {
            if !out.is_empty() {
                out.push_str(if column + 1 + piece.len() > 76 { "\r\n " } else { " " });
                column = if column + 1 + piece.len() > 76 { 1 } else { column + 1 };
            }
            out.push_str(std::str::from_utf8(piece).unwrap_or("?"));
            column += piece.len();
        }
    }
    out
}

/// The old header, 7-bit and on legal lines. It was repaired when it came in; this holds if it was not.
fn original(head: &[u8]) -> String {
    let mut out = String::with_capacity(head.len().min(MAX_ORIGINAL));
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if out.len() + line.len() > MAX_ORIGINAL {
            break;
        }
        if !line.is_empty() {
            out.extend(line.iter().take(crate::message::MAX_LINE).map(|&b| if visible(b) { b as char } else { '?' }));
            out.push_str("\r\n");
        }
    }
    out
}

fn visible(b: u8) -> bool {
    (0x20..0x7f).contains(&b) || b == b'\t'
}

/// Text of others on one line: no control characters, single blanks, not endless.
fn plain(text: &str) -> String {
    let line: String = text.chars().take(MAX_REPLY).map(encoded_word::no_control).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
