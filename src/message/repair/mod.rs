//! Repair: from the header a client sent to one that every provider takes. One named function a repair.
//!
//! The order is that of [`repair`]: what must go goes first, then the fields every mail must have, then text, then MIME,
//! then the length of lines. The body has been read by now: [`Facts::body`] says what it is like, and [`Facts::remedy`]
//! what the second pass made of it.
//!
//! What this is not: sender rewriting (that is `rewrite`, per attempt, when the account is known).
//!
//! Invariants: the head that comes out is ASCII with CRLF and no line over 998 octets, and has exactly one From, Date,
//! Message-ID, To and MIME-Version (RFC 5322 section 3.6); repairing it again changes nothing; a field that is not
//! named by a repair is untouched, octet for octet; and nothing of a client's text is lost without a word: what is
//! replaced is kept in an `X-Original-` field.

mod date;
mod fold;
mod kind;
mod message_id;
mod mime;
mod people;
mod single;
mod text;

use crate::mail::{Address, Id, ReversePath};
use crate::message::header::{Field, Header};
use crate::message::lines::BodyStats;
use crate::message::remedy::Remedy;
use crate::message::{charset, encoded_word};

pub use kind::Repair;

/// What repair has to know beside the header.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// When the message came in, as RFC 5322 section 3.3 writes it (`Timestamp::rfc5322`).
    pub date: &'a str,
    /// The id of the message: the left half of a new Message-ID.
    pub id: Id,
    /// The right half of a new Message-ID: the domain of the account, or the name of this host.
    pub domain: &'a str,
    /// Who the mail is from when it does not say so in a usable way: the address of the account. Must be qualified.
    pub fallback_from: &'a Address,
    /// The envelope sender; its local part is a name for mail that has none.
    pub sender: &'a ReversePath,
    /// The envelope recipients.
    pub recipients: &'a [Address],
    /// What the body is like, as the first pass saw it.
    pub body: &'a BodyStats,
    /// What the second pass did to it.
    pub remedy: Remedy,
}

/// The outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The header block: every field with its CRLF, without the blank line.
    pub head: Vec<u8>,
    /// What was done, in the order it was done, each kind once.
    pub repairs: Vec<Repair>,
}

/// Repairs a header block. Never fails: there is no header so broken that nothing can be made of it.
pub fn repair(header: Header, facts: &Facts<'_>) -> Repaired {
    let mut work = Work { header, repairs: Vec::new() };
    framing(&mut work, facts);
    single::drop_private(&mut work);
    single::drop_duplicates(&mut work);
    single::drop_overlong_names(&mut work);
    date::date(&mut work, facts);
    message_id::message_id(&mut work, facts);
    people::from(&mut work, facts);
    text::encode_raw(&mut work);
    people::to(&mut work, facts);
    mime::version(&mut work);
    mime::charset(&mut work, facts);
    mime::transfer(&mut work, facts);
    fold::fold_long_lines(&mut work);
    Repaired { head: work.header.render(), repairs: work.repairs }
}

/// A message under repair.
struct Work {
    header: Header,
    repairs: Vec<Repair>,
}

impl Work {
    fn note(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    /// Keeps an old value in `X-Original-name`, unless it is empty.
    fn keep_original(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            let name = format!("X-Original-{name}");
            // Appended, not set: a client may have such a field of its own.
            self.header.fields.push(unstructured(&name, &charset::decode(value).0));
        }
    }
}

/// A field of free text: as it is when it is plain, in encoded words when it is not.
fn unstructured(name: &str, text: &str) -> Field {
    let line: String = text.chars().filter(|&c| c != '\r' && c != '\n').collect();
    let plain = line.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t') && !hides_control(&line);
    if plain {
        return Field::new(name, line);
    }
    Field::new(name, encoded_word::encode(encoded_word::decode(&line).trim(), name.len() + 2))
}

/// Whether encoded words in `text` hold control characters.
fn hides_control(text: &str) -> bool {
    text.contains("=?") && encoded_word::decode(text).chars().any(|c| c != '\t' && encoded_word::no_control(c) != c)
}

/// What the splitter and the first pass put right already.
fn framing(work: &mut Work, facts: &Facts<'_>) {
    let framing = work.header.framing;
    let (body, composite_nul) = (facts.body, facts.body.nuls > 0 && facts.remedy == Remedy::BreakLines);
    for (seen, repair) in [
        (framing.mbox_line, Repair::MboxLineDropped),
        (framing.blank_lines, Repair::BlankLinesDropped),
        (framing.name_blanks, Repair::NameBlanksDropped),
        (framing.no_header, Repair::HeaderCreated),
        (framing.no_separator, Repair::SeparatorAdded),
        (framing.nul || composite_nul, Repair::NulRemoved),
        (framing.bare_line_ends || body.line_ends_changed(), Repair::BareLineEnds),
    ] {
        if seen {
            work.note(repair);
        }
    }
    match facts.remedy {
        Remedy::None => {}
        Remedy::QuotedPrintable | Remedy::Base64 => work.note(Repair::BodyEncoded),
        Remedy::RewrapQuotedPrintable | Remedy::RewrapBase64 => work.note(Repair::LineRewrapped),
        Remedy::BreakLines => work.note(Repair::LineBroken),
    }
}
