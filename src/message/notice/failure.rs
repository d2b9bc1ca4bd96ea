//! The failure notice: a mail with the recipients that failed, the reason, the remedy; and whether it may be sent at all.
//!
//! Its form is RFC 3464 (multipart/report: text for a person, fields for a program, the old header), so that mail programs
//! show it as a bounce.
//!
//! A failed notice never makes another one (A-062; RFC 3834 section 2, RFC 5321 section 6.1). A *sender* in the envelope may
//! be forged, and may be a program that answers: it gets no notice about mail that a program made. The *operator* has asked
//! for notices, and the mail of devices is always made by programs (cron marks its own with `Auto-Submitted:
//! auto-generated`): the operator gets all but those about reports and answers. Mail without a notice is still in the queue,
//! the log and the counters.

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::MimePart;

use crate::language::Tongue;
use crate::mail::{Address, Id, ReversePath};
use crate::message::encoded_word;
use crate::message::header::{Field, Header, is_plain, lines};
use crate::message::line_ends::MAX_LINE;

use super::{Letter, MAX_SUBJECT, MAX_WORDS, NOTICE, NOTICE_FOR, assemble, one_line, subject_of, words};

/// How much of the old header is shown, in octets.
const MAX_ORIGINAL: usize = 64 * 1024;

/// One recipient that does not get the mail.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Whom it was for.
    pub recipient: &'a Address,
    /// The enhanced status code, `5.1.1` (RFC 3463).
    pub status: &'a str,
    /// The provider's own words, reply code first; empty when it never answered.
    pub reply: &'a str,
    /// The remedy, in English and in Chinese, if one is known.
    pub remedy: Option<(&'a str, &'a str)>,
}

/// The content of a notice.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// From whom, to whom, in which language.
    pub letter: Letter<'a>,
    /// The message that failed.
    pub failed: Id,
    /// When that came in, as RFC 5322 section 3.3 has it.
    pub arrived: &'a str,
    /// How often the relay tried; 0 leaves the number out.
    pub tries: u32,
    /// Its stored header block.
    pub original: &'a [u8],
    /// The recipients it failed for; at least one.
    pub failures: &'a [Failure<'a>],
}

/// Builds a notice: the head (fields with CRLF, no blank line) and the body.
pub fn build(notice: &Notice<'_>) -> (Vec<u8>, Vec<u8>) {
    let letter = &notice.letter;
    let report = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", format!("=_yizhan_{}", letter.id));
    let header = Header::parse(notice.original);
    let about = header.text("Subject").map(|text| subject_of(&text, MAX_WORDS)).unwrap_or_default();
    let tongues = letter.language.tongues();
    let texts: Vec<String> = tongues.iter().map(|&tongue| one_tongue(notice, &about, tongue)).collect();
    let parts = vec![
        words(&texts.join("\n--------\n\n")),
        seven_bit("message/delivery-status", status(notice)),
        seven_bit("text/rfc822-headers", original(notice.original)),
    ];
    let mut subject = letter.language.join("Mail not delivered", "邮件未能送达");
    if !about.is_empty() {
        subject.push_str(&format!(": {}", one_line(&about, MAX_SUBJECT)));
    }
    let own = (NOTICE_FOR, notice.failed.to_string());
    assemble(letter, &subject, own, MimePart::new(report, parts))
}

/// A part that is 7-bit already and may not be encoded (RFC 3464 section 2.1, RFC 6522 section 4).
fn seven_bit(media: &'static str, text: String) -> MimePart<'static> {
    MimePart::new(ContentType::new(media), text.into_bytes()).transfer_encoding("7bit")
}

/// The words for people in one language: what failed, for whom, why, what to do, and how to send it again.
fn one_tongue(notice: &Notice<'_>, subject: &str, tongue: Tongue) -> String {
    let (id, arrived, tries) = (notice.failed, notice.arrived, notice.tries);
    let mut out = match tongue {
        Tongue::En => format!(
            "Yizhan could not deliver a mail to the recipients below, and will not try again.\n\n\
             Subject: {subject}\nReceived: {arrived}\nNumber: {id}\n"
        ),
        Tongue::Zh => {
            format!(
                "驿站未能把一封邮件送达下列收件人，不会再重试。\n\n主题：{subject}\n收到时间：{arrived}\n编号：{id}\n"
            )
        }
    };
    for failure in notice.failures {
        out.push_str(&format!("\n{}{}\n", tongue.pick("Recipient: ", "收件人："), failure.recipient));
        out.push_str(&said(failure.reply, MAX_WORDS, tongue));
        if let Some((en, zh)) = failure.remedy {
            out.push_str(&remedy(en, zh, tongue));
        }
    }
    out.push('\n');
    match (tries, tongue) {
        (0, _) => {}
        (1, Tongue::En) => out.push_str("The relay tried once. "),
        (_, Tongue::En) => out.push_str(&format!("The relay tried {tries} times. ")),
        (_, Tongue::Zh) => out.push_str(&format!("驿站共尝试了 {tries} 次。")),
    }
    out.push_str(tongue.pick(
        "It keeps the mail for a while. When the cause is gone, this sends it again:\n\n",
        "邮件仍保留一段时间。原因消除后，用下面的命令重发：\n\n",
    ));
    out.push_str(&format!("    yizhan queue retry {id}\n"));
    out
}

/// The line with the provider's own words, or that there were none.
pub(super) fn said(reply: &str, most: usize, tongue: Tongue) -> String {
    match one_line(reply, most).as_str() {
        "" => tongue.pick("The mail provider gave no answer.\n", "邮件服务商没有答复。\n").to_owned(),
        reply => format!("{}{reply}\n", tongue.pick("The mail provider said: ", "邮件服务商答复：")),
    }
}

/// The line with what to do.
pub(super) fn remedy(en: &str, zh: &str, tongue: Tongue) -> String {
    format!("{}{}\n", tongue.pick("What to do: ", "处理办法："), one_line(tongue.pick(en, zh), MAX_WORDS))
}

/// The part for programs (RFC 3464 section 2): a block for the message, and one for each recipient.
fn status(notice: &Notice<'_>) -> String {
    let mut out = String::new();
    line(&mut out, "Reporting-MTA", &format!("dns; {}", one_line(notice.letter.host, MAX_WORDS)));
    line(&mut out, "Arrival-Date", notice.arrived);
    for failure in notice.failures {
        out.push_str("\r\n");
        line(&mut out, "Final-Recipient", &format!("rfc822; {}", failure.recipient));
        line(&mut out, "Action", "failed");
        line(&mut out, "Status", failure.status);
        let reply = one_line(failure.reply, MAX_WORDS);
        if !reply.is_empty() {
            line(&mut out, "Diagnostic-Code", &format!("smtp; {reply}"));
        }
    }
    out
}

/// One field of the status part, on short lines; what is not ASCII becomes encoded words (RFC 3464 section 2.1.3).
fn line(out: &mut String, name: &str, value: &str) {
    let value = if value.is_ascii() {
        fold(&one_line(value, MAX_WORDS), name.len() + 2)
    } else {
        let (kind, text) = value.split_once("; ").unwrap_or(("", value));
        let kind = if kind.is_empty() { String::new() } else { format!("{kind}; ") };
        let column = name.len() + 2 + kind.len();
        format!("{kind}{}", encoded_word::encode(&one_line(text, MAX_WORDS), column))
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
    for line in lines(head) {
        if out.len() + line.len() > MAX_ORIGINAL {
            break;
        }
        if !line.is_empty() {
            out.extend(line.iter().take(MAX_LINE).map(|&b| if is_plain(b) { b as char } else { '?' }));
            out.push_str("\r\n");
        }
    }
    out
}

/// The reader of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The operator: the account's own mailbox, or the address in the settings.
    Owner,
    /// The envelope sender that the client gave.
    Sender,
}

/// Whether `reader` may get a notice about the failed mail with this stored header and this envelope sender.
pub fn may_tell(original: &[u8], sender: &ReversePath, reader: Reader) -> bool {
    let header = Header::parse(original);
    let value = |name: &str| header.text(name).map(|text| text.trim().to_ascii_lowercase()).unwrap_or_default();
    let ours = [NOTICE, NOTICE_FOR].iter().any(|name| header.text(name).is_some());
    // Parameters may follow a blank or a semicolon (RFC 3834 section 5).
    let auto = value("Auto-Submitted");
    let auto = auto.split([';', ' ', '\t', '(']).next().unwrap_or("");
    let report = value("Content-Type").starts_with("multipart/report");
    if ours || report || matches!(auto, "auto-replied" | "auto-notified") {
        return false;
    }
    match reader {
        Reader::Owner => true,
        Reader::Sender => {
            sender.address().is_some()
                && matches!(auto, "" | "no")
                && matches!(value("X-Auto-Response-Suppress").as_str(), "" | "none")
                && !matches!(value("Precedence").as_str(), "bulk" | "junk" | "list")
                && header.text("List-Id").is_none()
        }
    }
}
