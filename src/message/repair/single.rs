//! Fields that must go, and fields that may occur only once (RFC 5322 section 3.6, Q-100).
//!
//! What this is not: From, whose winner is chosen by what is in it (`people`).

use super::{Repair, Work};
use crate::message::header::Field;

/// A field whose name alone would not leave room for a value on a line is no field anybody reads.
const MAX_NAME: usize = 200;

/// May occur once; of several the first that says something stays.
const ONCE: &[&str] = &[
    "Date",
    "Message-ID",
    "Subject",
    "Sender",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "Content-Description",
];

/// Drops what is private (Bcc), not ours to set (Return-Path, Delivered-To), or wrong after repair (Content-Length).
///
/// Some providers refuse a second Delivered-To, so that one goes at every level, as Bcc does.
pub(super) fn drop_private(work: &mut Work, full: bool) {
    for (name, repair, always) in [
        ("Bcc", Repair::BccDropped, true),
        ("Resent-Bcc", Repair::BccDropped, true),
        ("Return-Path", Repair::ReturnPathDropped, false),
        ("Delivered-To", Repair::DeliveredToDropped, true),
        ("Content-Length", Repair::ContentLengthDropped, false),
    ] {
        if (full || always) && work.header.remove(name) {
            work.note(repair);
        }
    }
}

/// Drops the environment that cron puts into the header, one field a variable, where the owner wants that.
///
/// At every level, as it is a setting of the owner and may hide what is private.
pub(super) fn drop_cron_env(work: &mut Work, wanted: bool) {
    if wanted && work.header.remove("X-Cron-Env") {
        work.note(Repair::CronEnvDropped);
    }
}

/// Keeps one of each field of [`ONCE`], and joins the recipients of several To or Cc.
pub(super) fn drop_duplicates(work: &mut Work) {
    for name in ONCE {
        if work.header.count(name) > 1 {
            let first = work.header.first_with_value(name).or_else(|| work.header.get(name)).cloned();
            if let Some(first) = first {
                work.header.set(first);
            }
            work.note(Repair::DuplicatesDropped);
        }
    }
    for name in ["To", "Cc"] {
        if work.header.count(name) > 1 {
            let values = work.header.fields.iter().filter(|f| f.is(name)).map(Field::value);
            let values: Vec<&[u8]> = values.filter(|v| !v.is_empty()).collect();
            let joined = Field::new(name, values.join(&b",\r\n "[..]));
            work.header.set(joined);
            work.note(Repair::RecipientsJoined);
        }
    }
}

/// Drops fields whose name cannot be put on a line.
pub(super) fn drop_overlong_names(work: &mut Work) {
    let before = work.header.fields.len();
    work.header.fields.retain(|field| field.name().len() <= MAX_NAME);
    if work.header.fields.len() != before {
        work.note(Repair::FieldDropped);
    }
}
