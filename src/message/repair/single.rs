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
pub(super) fn drop_private(work: &mut Work) {
    for (name, repair) in [
        ("Bcc", Repair::BccDropped),
        ("Resent-Bcc", Repair::BccDropped),
        ("Return-Path", Repair::ReturnPathDropped),
        ("Delivered-To", Repair::DeliveredToDropped),
        ("Content-Length", Repair::ContentLengthDropped),
    ] {
        if work.header.remove(name) {
            work.note(repair);
        }
    }
}

/// Keeps one of each field of [`ONCE`], and joins the recipients of several To or Cc.
pub(super) fn drop_duplicates(work: &mut Work) {
    for name in ONCE {
        if work.header.count(name) > 1 {
            let mut all = work.header.fields.iter().filter(|f| f.is(name));
            let first = all.clone().find(|f| !f.value().is_empty()).or_else(|| all.next()).cloned();
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
