//! Date: there must be one, and it must be readable (RFC 5322 section 3.3, Q-091, Q-098, Q-101).
//!
//! What this is not: an opinion on whether the date is right. A printer that believes it is 1970 is believed.

use jiff::fmt::rfc2822::DateTimeParser;

use super::{Facts, Repair, Work};
use crate::message::header::Field;

/// A wrong day of the week is no reason to lose a date.
const PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Adds a Date, or replaces one that cannot be read; the old one stays as X-Original-Date.
pub(super) fn date(work: &mut Work, facts: &Facts<'_>) {
    let old = work.header.get("Date").map(Field::unfolded);
    match &old {
        None => work.note(Repair::DateAdded),
        // The parser takes a form feed for a blank; no reader should have to.
        Some(old) if PARSER.parse_timestamp(old).is_ok() && old.iter().all(|b| matches!(b, b'\t' | 0x20..0x7f)) => {
            return;
        }
        Some(old) => {
            work.note(Repair::DateReplaced);
            work.keep_original("Date", old);
        }
    }
    work.header.set(Field::new("Date", facts.date));
}
