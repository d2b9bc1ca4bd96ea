//! Repair: from the header that a client sent to one that every provider takes. One named function a repair.
//!
//! [`repair`] has the order: first the fields that are dropped, then those that every mail must have, then text, then MIME,
//! then the length of lines. The body was read before, and [`Facts::plan`] lists its changes. Sender rewriting:
//! `sender_rewriting`, for each attempt, when the account is known.
//!
//! Invariants: the resulting head is ASCII with CRLF and no line over 998 octets, and has exactly one From, Date and
//! Message-ID (RFC 5322 section 3.6), at level `full` also one To and one MIME-Version; repairing it again changes nothing;
//! a field that no repair names stays octet for octet; no text of a client is lost without a record: a replaced value is
//! kept in an `X-Original-` field.

mod facts;
mod optional_fields;
mod required_fields;

use crate::message::field_encoding::folded;
use crate::message::header::{Field, Header};
use crate::message::line_ends::MAX_LINE;
use crate::message::mime::Recoding;
use crate::message::repair_names::Repair;

use facts::HeaderUnderRepair;
pub use facts::{ClientProfile, Facts, Level};

/// A repaired header block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The header block: every field with its CRLF, without the blank line.
    pub head: Vec<u8>,
    /// The repairs in their order, each kind once.
    pub repairs: Vec<Repair>,
}

/// Repairs a header block. Never fails: every header can be repaired.
pub fn repair(header: Header, facts: &Facts<'_>) -> Repaired {
    let mut work = HeaderUnderRepair { header, repairs: Vec::new(), hints: facts.hints() };
    let full = facts.client.level == Level::Full;
    framing(&mut work, facts);
    optional_fields::drop_private(&mut work, full);
    if facts.client.drop_cron_env {
        // At every level, because it may hide private values.
        work.drop_field("X-Cron-Env", Repair::CronEnvDropped);
    }
    optional_fields::drop_duplicates(&mut work);
    optional_fields::drop_overlong_names(&mut work);
    required_fields::date(&mut work, facts);
    required_fields::message_id(&mut work, facts);
    required_fields::from(&mut work, facts);
    optional_fields::encode_raw(&mut work, full);
    if full {
        required_fields::to(&mut work, facts);
    }
    optional_fields::reply_to(&mut work, facts);
    optional_fields::subject_prefix(&mut work, facts);
    mime_version(&mut work, facts);
    describe_body(&mut work, facts);
    fold_long_lines(&mut work);
    Repaired { head: work.header.render(), repairs: work.repairs }
}

/// Records the repairs of the splitter and of the first pass.
fn framing(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let framing = work.header.framing;
    work.note_seen(&[
        (framing.mbox_line, Repair::MboxLineDropped),
        (framing.blank_lines, Repair::BlankLinesDropped),
        (framing.name_blanks, Repair::NameBlanksDropped),
        (framing.no_header, Repair::HeaderCreated),
        (framing.no_separator, Repair::SeparatorAdded),
        (framing.nul, Repair::NulRemoved),
        (framing.bare_line_ends || facts.body.line_ends_changed(), Repair::BareLineEnds),
    ]);
    facts.plan.body_repairs.iter().for_each(|&repair| work.note(repair));
}

/// Adds `MIME-Version: 1.0` (RFC 2045 section 4, Q-106); at level `minimal` only when MIME fields are written.
fn mime_version(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let needed = facts.client.level == Level::Full || !facts.plan.root.is_empty();
    if needed && work.header.get("MIME-Version").is_none_or(|field| field.value().is_empty()) {
        work.header.set(Field::new("MIME-Version", "1.0"));
        work.note(Repair::MimeVersionAdded);
    }
}

/// Makes Content-Type and Content-Transfer-Encoding describe the body after the second pass (RFC 2045).
///
/// A charset or an encoding that is declared and can be true stays.
fn describe_body(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let change = &facts.plan.root;
    debug_assert!(!change.head && (change.recoding == Recoding::None || facts.plan.rewrites_body()));
    if let Some(lost) = change.apply(&mut work.header, work.hints) {
        work.keep_original("Content-Type", &lost);
    }
    work.note_seen(&[
        (change.charset.is_some(), Repair::CharsetDeclared),
        (change.transfer.is_some(), Repair::TransferEncodingSet),
    ]);
    facts.plan.part_repairs.iter().for_each(|&repair| work.note(repair));
}

/// Folds every field that has a line over 998 octets (RFC 5322 section 2.1.1, Q-089).
fn fold_long_lines(work: &mut HeaderUnderRepair) {
    for at in 0..work.header.fields.len() {
        if work.header.fields[at].longest_line() > MAX_LINE {
            work.header.fields[at] = folded(&work.header.fields[at]);
            work.note(Repair::LineFolded);
        }
    }
}
