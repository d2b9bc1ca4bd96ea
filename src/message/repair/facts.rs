//! The input of the repair, and the header under repair.

use encoding_rs::Encoding;

use crate::mail::{Address, Id, ReversePath};
use crate::message::charset::Hints;
use crate::message::encoded_word;
use crate::message::field_encoding::unstructured;
use crate::message::header::Header;
use crate::message::line_ends::BodyStats;
use crate::message::mime::{Demand, Plan};
use crate::message::repair_names::Repair;

/// The facts that a repair needs beside the header.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time of arrival in the form of RFC 5322 section 3.3 (`Timestamp::rfc5322`).
    pub date: &'a str,
    /// The id of the message: the left half of a new Message-ID.
    pub id: Id,
    /// The right half of a new Message-ID: the domain of the account, or the name of this host.
    pub domain: &'a str,
    /// The From of mail without a usable one: the address of the account. Must be qualified.
    pub fallback_from: &'a Address,
    /// The envelope sender; its local part is the name for mail without one.
    pub sender: &'a ReversePath,
    /// The envelope recipients.
    pub recipients: &'a [Address],
    /// The changes to the line ends of the body.
    pub body: &'a BodyStats,
    /// The changes of the second pass to the body.
    pub plan: &'a Plan,
    /// The settings of this client.
    pub client: &'a ClientProfile<'a>,
}

impl Facts<'_> {
    /// The charsets that raw text in the header may be in.
    pub(super) fn hints(&self) -> Hints {
        Hints { declared: self.plan.declared, client: self.client.charset }
    }
}

/// How much is repaired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Level {
    /// Everything that is not good form.
    #[default]
    Full,
    /// Only what a provider refuses or SMTP forbids: From, Date, Message-ID, fields that occur twice, raw 8-bit characters
    /// in the header, illegal lines, NUL. The client's settings (Reply-To, prefix, the environment of cron) still count, and
    /// private fields (Bcc) are still dropped.
    Minimal,
}

/// The settings of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientProfile<'a> {
    /// The name to show when the From has none.
    pub display: Option<&'a str>,
    /// The charset of its text that declares none and is not UTF-8.
    pub charset: Option<&'static Encoding>,
    /// The Reply-To of mail without one.
    pub reply_to: Option<&'a Address>,
    /// The start of every Subject, without the blank after it.
    pub subject_prefix: Option<&'a str>,
    /// Whether `X-Cron-Env`, the environment that cron adds, is dropped.
    pub drop_cron_env: bool,
    /// How much is repaired.
    pub level: Level,
}

impl ClientProfile<'_> {
    /// The aim of the first pass over the body.
    pub fn demand(&self) -> Demand {
        Demand { seven_bit: false, minimal: self.level == Level::Minimal, charset: self.charset }
    }
}

/// A header under repair, and its repairs so far.
pub(super) struct HeaderUnderRepair {
    pub(super) header: Header,
    pub(super) repairs: Vec<Repair>,
    /// The charsets that raw text may be in.
    pub(super) hints: Hints,
}

impl HeaderUnderRepair {
    /// Records a repair, each kind once.
    pub(super) fn note(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    /// Records those repairs that are `seen`.
    pub(super) fn note_seen(&mut self, repairs: &[(bool, Repair)]) {
        repairs.iter().filter(|(seen, _)| *seen).for_each(|(_, repair)| self.note(*repair));
    }

    /// Removes all fields of this name, and records the repair if there was one.
    pub(super) fn drop_field(&mut self, name: &str, repair: Repair) {
        if self.header.remove(name) {
            self.note(repair);
        }
    }

    /// Keeps an old value in `X-Original-name`, unless it is empty.
    pub(super) fn keep_original(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            let name = format!("X-Original-{name}");
            // Appended, because a client may have such a field of its own.
            self.header.fields.push(unstructured(&name, &encoded_word::text_of(value, self.hints)));
        }
    }
}
