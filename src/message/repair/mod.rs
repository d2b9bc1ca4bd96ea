//! Repair: from the header a client sent to one that every provider takes. One named function a repair.
//!
//! The order is that of [`repair`]: what must go goes first, then the fields every mail must have, then text, then MIME,
//! then the length of lines. The body has been read by now, and [`Facts::plan`] says what is done to it.
//!
//! What this is not: sender rewriting (that is `rewrite`, per attempt, when the account is known).
//!
//! Invariants: the head that comes out is ASCII with CRLF and no line over 998 octets, and has exactly one From, Date
//! and Message-ID (RFC 5322 section 3.6), at level `full` also one To and one MIME-Version; repairing it again changes nothing; a field that is not
//! named by a repair is untouched, octet for octet; and nothing of a client's text is lost without a word: what is
//! replaced is kept in an `X-Original-` field.

mod date;
mod kind;
mod message_id;
mod mime;
mod people;
mod single;
mod subject;
mod text;

use encoding_rs::Encoding;

use crate::mail::{Address, Id, ReversePath};
use crate::message::charset::Hints;
use crate::message::cleanse::unstructured;
use crate::message::fold::folded;
use crate::message::header::Header;
use crate::message::lines::BodyStats;
use crate::message::mime::{Demand, Plan};
use crate::message::{MAX_LINE, raw_word};

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
    /// What had to be done to the line ends of the body.
    pub body: &'a BodyStats,
    /// What the second pass does, or did, to the body.
    pub plan: &'a Plan,
    /// What the owner has set for this client.
    pub client: &'a Client<'a>,
}

impl Facts<'_> {
    /// What raw text in the header may be written in.
    fn hints(&self) -> Hints {
        Hints { declared: self.plan.declared, client: self.client.charset }
    }
}

/// How much is put right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Level {
    /// Everything that a careful person would not have sent so.
    #[default]
    Full,
    /// Only what a provider refuses or SMTP forbids: From, Date, Message-ID, fields that occur twice, raw 8-bit
    /// characters in the header, illegal lines, NUL. Settings of the owner (Reply-To, prefix, the environment of cron) are kept, and what must
    /// stay private (Bcc) goes all the same.
    Minimal,
}

/// What the owner has set for one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Client<'a> {
    /// The name to show when the From has none.
    pub display: Option<&'a str>,
    /// What the client writes in, where it does not say so and it is not UTF-8.
    pub charset: Option<&'static Encoding>,
    /// Where answers go when the mail does not say so.
    pub reply_to: Option<&'a Address>,
    /// What every Subject begins with, without the blank after it.
    pub subject_prefix: Option<&'a str>,
    /// Whether the environment that cron tells in `X-Cron-Env` goes.
    pub drop_cron_env: bool,
    /// How much is put right.
    pub level: Level,
}

impl Client<'_> {
    /// What the first pass over the body has to look for.
    pub fn demand(&self) -> Demand {
        Demand { seven_bit: false, minimal: self.level == Level::Minimal, charset: self.charset }
    }
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
    let mut work = Work { header, repairs: Vec::new(), hints: facts.hints() };
    let full = facts.client.level == Level::Full;
    framing(&mut work, facts);
    single::drop_private(&mut work, full);
    single::drop_cron_env(&mut work, facts.client.drop_cron_env);
    single::drop_duplicates(&mut work);
    single::drop_overlong_names(&mut work);
    date::date(&mut work, facts);
    message_id::message_id(&mut work, facts);
    people::from(&mut work, facts);
    text::encode_raw(&mut work, full);
    if full {
        people::to(&mut work, facts);
    }
    people::reply_to(&mut work, facts);
    subject::prefix(&mut work, facts);
    mime::version(&mut work, facts);
    mime::describe(&mut work, facts);
    fold_long_lines(&mut work);
    Repaired { head: work.header.render(), repairs: work.repairs }
}

/// A message under repair.
struct Work {
    header: Header,
    repairs: Vec<Repair>,
    /// What raw text may be written in.
    hints: Hints,
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
            self.header.fields.push(unstructured(&name, &raw_word::text_of(value, self.hints)));
        }
    }
}

/// Folds every field that has a line over 998 octets (RFC 5322 section 2.1.1, Q-089).
fn fold_long_lines(work: &mut Work) {
    for at in 0..work.header.fields.len() {
        if work.header.fields[at].longest_line() > MAX_LINE {
            work.header.fields[at] = folded(&work.header.fields[at]);
            work.note(Repair::LineFolded);
        }
    }
}

/// What the splitter and the first pass put right already.
fn framing(work: &mut Work, facts: &Facts<'_>) {
    let framing = work.header.framing;
    for (seen, repair) in [
        (framing.mbox_line, Repair::MboxLineDropped),
        (framing.blank_lines, Repair::BlankLinesDropped),
        (framing.name_blanks, Repair::NameBlanksDropped),
        (framing.no_header, Repair::HeaderCreated),
        (framing.no_separator, Repair::SeparatorAdded),
        (framing.nul, Repair::NulRemoved),
        (framing.bare_line_ends || facts.body.line_ends_changed(), Repair::BareLineEnds),
    ] {
        if seen {
            work.note(repair);
        }
    }
    facts.plan.body_repairs.iter().for_each(|&repair| work.note(repair));
}
